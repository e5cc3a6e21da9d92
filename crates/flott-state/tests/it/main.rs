//! The checkpoint store and damaged disks.

mod damage;
