use super::*;
use crate::operations;

#[test]
fn each_route_is_found_behind_any_prefix() {
    let operations = OperationTable::new(operations::ALL, Surface::default());
    let mut found = 0;
    for operation in operations.iter() {
        for (_, path) in operation.paths {
            for prefix in ["", "/agents", "/a/{b}/api"] {
                let route = format!("{prefix}{path}");
                let known = operations.of_route(&route, &operation.method.method());
                assert_eq!(known.map(|it| it.id), Some(operation.id), "{route}");
                found += 1;
            }
        }
    }
    assert!(found > 100, "{found} routes");
    for (route, method) in [
        ("/conversations/{conversation_id}/nowhere", Method::GET),
        ("/conversations/{conversation_id}/run", Method::GET),
        ("/{path:.*}", Method::GET),
    ] {
        let known = operations.of_route(route, &method);
        assert!(known.is_none(), "{route}");
    }
    let head = operations.of_route("/agents/health", &Method::HEAD);
    assert_eq!(head.map(|it| it.id), Some("health"));
}
