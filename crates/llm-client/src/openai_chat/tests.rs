mod exchange;
mod replies;
mod requests;
mod streams;
