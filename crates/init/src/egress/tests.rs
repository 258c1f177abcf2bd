mod carriers;
mod connections;
mod listeners;
mod questions;
