mod replies;
mod requests;
mod returned;
mod streams;
