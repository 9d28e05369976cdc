//! The least an actix server can be, to compare the real one with: `minimal_actix PORT`.

use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| std::io::Error::other("usage: minimal_actix PORT"))?;
    HttpServer::new(|| App::new().route("/ready", web::get().to(HttpResponse::Ok)))
        .bind(("127.0.0.1", port))?
        .run()
        .await
}
