//! datagen, print, blackhole
