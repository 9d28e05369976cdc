use actix_web::test::TestRequest;

use super::*;

fn hosts(allowed: &[&str], check: HostCheck) -> Hosts {
    let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
    Hosts::new(&HostConfig { allowed, check }).unwrap()
}

fn checked(hosts: &Hosts, request: TestRequest) -> &'static str {
    match hosts.check(request.to_srv_request().head()) {
        Ok(()) => "served",
        Err(Failure::ForeignHost(_)) => "foreign",
        Err(Failure::BadHost) => "bad",
        Err(other) => panic!("{other:?}"),
    }
}

fn request_to(host: &str) -> TestRequest {
    TestRequest::get().insert_header((header::HOST, host))
}

#[test]
fn loopback_names_addresses_the_machine_and_allowed_hosts_are_ours() {
    let hosts = hosts(
        &["agents.example.com", "*.ts.example"],
        HostCheck::EveryClient,
    );
    let machine = names_of_machine();
    for host in [
        "localhost",
        "LOCALHOST:8000",
        "app.localhost:8000",
        "localhost.:1",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "10.0.0.7:8000",
        "192.168.1.2",
        "[fe80::1]:8000",
        "agents.example.com",
        "agents.example.com:8443",
        "a.b.ts.example",
    ] {
        assert_eq!(checked(&hosts, request_to(host)), "served", "{host}");
    }
    for host in &machine {
        assert_eq!(checked(&hosts, request_to(host)), "served", "{host}");
    }
    for host in [
        "attacker.example:8000",
        "localhost.attacker.example",
        "127.0.0.1.attacker.example",
        "evillocalhost",
        "ts.example",
        "agents.example.com.attacker.example",
        "agent-server:8000",
    ] {
        assert_eq!(checked(&hosts, request_to(host)), "foreign", "{host}");
    }
    for host in [
        "",
        "localhost@attacker.example",
        "localhost:x",
        "localhost, a",
        "2130706433",
    ] {
        assert_eq!(checked(&hosts, request_to(host)), "bad", "{host:?}");
    }
}

#[test]
fn there_is_one_host_and_the_request_line_counts_too() {
    let hosts = hosts(&[], HostCheck::EveryClient);
    let both = TestRequest::get()
        .append_header((header::HOST, "localhost"))
        .append_header((header::HOST, "localhost"));
    assert_eq!(checked(&hosts, both), "bad");
    assert_eq!(checked(&hosts, TestRequest::get()), "bad");
    let old = || TestRequest::get().version(Version::HTTP_10);
    assert_eq!(checked(&hosts, old()), "served");
    assert_eq!(
        checked(&hosts, old().insert_header(("origin", "null"))),
        "bad"
    );
    for (line, host, expected) in [
        ("http://attacker.example/", "localhost", "foreign"),
        ("http://localhost/", "attacker.example", "foreign"),
        ("http://localhost:8000/", "localhost:8000", "served"),
    ] {
        assert_eq!(
            checked(&hosts, request_to(host).uri(line)),
            expected,
            "{line} {host}"
        );
    }
    assert_eq!(
        checked(&hosts, TestRequest::get().uri("http://attacker.example/")),
        "foreign"
    );
}

#[test]
fn where_others_reach_the_server_only_browsers_are_checked() {
    let hosts = hosts(&[], HostCheck::Browsers);
    let service = || request_to("agent-server:8000");
    assert_eq!(checked(&hosts, service()), "served");
    assert_eq!(checked(&hosts, request_to("localhost@x")), "served");
    // Node's `fetch`.
    let node = service()
        .insert_header(("sec-fetch-mode", "cors"))
        .insert_header(("user-agent", "node"));
    assert_eq!(checked(&hosts, node), "served");
    for header in [
        ("origin", "http://agent-server:8000"),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "document"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ] {
        assert_eq!(
            checked(&hosts, service().insert_header(header)),
            "foreign",
            "{header:?}"
        );
        let ours = request_to("localhost:8000").insert_header(header);
        assert_eq!(checked(&hosts, ours), "served", "{header:?}");
    }
}

#[test]
fn a_text_that_is_not_a_host_is_refused_with_what_to_write() {
    for (text, advice) in [
        ("https://agents.example.com/", "write `agents.example.com`"),
        ("*", "write a name such as"),
        ("", "write a name such as"),
        ("a b", "write a name such as"),
    ] {
        let allowed = vec!["ok.example".to_owned(), text.to_owned()];
        let config = HostConfig {
            allowed,
            check: HostCheck::default(),
        };
        let refused = Hosts::new(&config).err().unwrap().to_string();
        assert!(refused.starts_with("allowed_hosts[1]: "), "{refused}");
        assert!(refused.contains(advice), "{refused}");
    }
}
