//! The basic connectors as a runtime drives them.

mod blackhole;
mod datagen;
mod datagen_options;
mod print;
