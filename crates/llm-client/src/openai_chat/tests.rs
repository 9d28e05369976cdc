mod replies;
mod requests;
mod streams;
