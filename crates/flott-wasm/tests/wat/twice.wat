  (func (export "twice") (param $arguments i32) (param $count i32) (param $rows i32) (param $out i32) (result i32)
    (local $from i32) (local $to i32) (local $table i32) (local $i i32)
    (local.set $from (i32.load offset=4 (i32.load offset=40 (local.get $arguments))))
    (local.set $to (call $alloc (i32.mul (local.get $rows) (i32.const 4))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $rows)))
        (i32.store
          (i32.add (local.get $to) (i32.shl (local.get $i) (i32.const 2)))
          (i32.shl (i32.load (i32.add (local.get $from) (i32.shl (local.get $i) (i32.const 2)))) (i32.const 1)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.set $table (call $alloc (i32.const 8)))
    (i32.store (local.get $table) (i32.load (i32.load offset=40 (local.get $arguments))))
    (i32.store offset=4 (local.get $table) (local.get $to))
    (i64.store (local.get $out) (i64.extend_i32_u (local.get $rows)))
    (i64.store offset=24 (local.get $out) (i64.const 2))
    (i32.store offset=40 (local.get $out) (local.get $table))
    (i32.const 0))
