//! The tables that queries read: small, and full of what engines disagree about. The same CSV files for both engines.

use std::path::Path;

use crate::expression::Type;

/// What NULL looks like in the files.
const NULL: &str = "<null>";

/// A table: its columns, and its rows as CSV.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Type)],
    /// The column with event time, whose rows come in order.
    pub(crate) rowtime: Option<&'static str>,
    rows: &'static [&'static str],
}

const PLAIN: &[(&str, Type)] = &[
    ("id", Type::Int),
    ("k", Type::Int),
    ("b", Type::BigInt),
    ("d", Type::Double),
    ("c", Type::Decimal),
    ("s", Type::String),
    ("f", Type::Boolean),
    ("dt", Type::Date),
    ("ts", Type::Timestamp),
];
const EVENTS: &[(&str, Type)] =
    &[("id", Type::Int), ("k", Type::Int), ("b", Type::BigInt), ("s", Type::String), ("rt", Type::Timestamp)];

/// Duplicate keys, NULL in every column but the first, the ends of every type, NaN and -0.0, an hour that a change of the
/// clock repeats, letters beside ASCII.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "t1",
        columns: PLAIN,
        rowtime: None,
        rows: &[
            "1,1,10,1.5,1.25,a,true,2024-03-31,2024-03-31 02:30:00.000",
            "2,1,-10,-0.0,-1.25,b,false,2024-02-29,2024-10-27 02:30:00.000",
            "3,2,9223372036854775807,NaN,99999999.99,,true,1970-01-01,1970-01-01 00:00:00.000",
            "4,2,-9223372036854775808,Infinity,-99999999.99,Ä,<null>,1969-12-31,1969-12-31 00:00:00.000",
            "5,<null>,<null>,<null>,<null>,<null>,<null>,<null>,<null>",
            "6,2147483647,0,0.0,0.00,ab,false,9999-12-31,9999-12-31 23:59:59.999",
            "7,-2147483648,1,-Infinity,0.01,A,true,0001-01-01,0001-01-01 00:00:00.000",
            "8,3,2,2.5,2.50, a,true,2024-01-01,2024-01-01 12:00:00.001",
            "9,3,2,2.5,2.50, a,true,2024-01-01,2024-01-01 12:00:00.001",
            "10,<null>,7,0.5,7.00,a,false,2024-12-31,2024-12-31 23:59:59.000",
        ],
    },
    Table {
        name: "t2",
        columns: PLAIN,
        rowtime: None,
        rows: &[
            "1,1,10,NaN,1.25,a,true,2024-03-31,2024-03-31 02:30:00.000",
            "2,2,20,0.0,-1.25,ä,false,2024-02-29,2024-10-27 02:30:00.000",
            "3,2,20,-0.0,0.00,A,<null>,1970-01-01,1970-01-01 00:00:00.000",
            "4,<null>,<null>,<null>,<null>,<null>,true,<null>,<null>",
            "5,3,9223372036854775807,2.5,2.50, a,false,2024-01-01,2024-01-01 12:00:00.001",
            "6,4,-1,1.5,99999999.99,,true,1582-10-15,1582-10-15 00:00:00.000",
            "7,4,0,4.5,3.00,b%,false,2000-01-01,2000-01-01 00:00:00.000",
        ],
    },
    Table {
        name: "e1",
        columns: EVENTS,
        rowtime: Some("rt"),
        rows: &[
            "1,1,5,a,2024-01-01 00:00:00.000",
            "2,1,-5,b,2024-01-01 00:00:01.000",
            "3,2,<null>,a,2024-01-01 00:00:04.999",
            "4,<null>,7,<null>,2024-01-01 00:00:05.000",
            "5,1,1,a,2024-01-01 00:00:05.000",
            "6,2,3,c,2024-01-01 00:00:09.999",
            "7,1,2,a,2024-01-01 00:00:21.000",
            "8,3,9223372036854775807,,2024-01-01 00:00:30.000",
            "9,1,1,b,2024-01-01 00:01:00.000",
        ],
    },
    Table {
        name: "e2",
        columns: EVENTS,
        rowtime: Some("rt"),
        rows: &[
            "1,1,50,a,2024-01-01 00:00:00.500",
            "2,2,60,b,2024-01-01 00:00:03.000",
            "3,<null>,70,a,2024-01-01 00:00:05.000",
            "4,1,<null>,a,2024-01-01 00:00:06.000",
            "5,1,80,<null>,2024-01-01 00:00:20.000",
            "6,3,90,b,2024-01-01 00:00:29.000",
        ],
    },
];

/// The table of this name.
pub(crate) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|t| t.name == name)
}

impl Table {
    /// Its definition, over its file in the folder.
    pub(crate) fn ddl(&self, folder: &Path) -> String {
        let mut columns: Vec<String> = self.columns.iter().map(|(n, t)| format!("{n} {}", t.sql())).collect();
        if let Some(rowtime) = self.rowtime {
            columns.push(format!("WATERMARK FOR {rowtime} AS {rowtime}"));
        }
        format!(
            "CREATE TABLE {} ({}) WITH ('connector' = 'filesystem', 'path' = '{}', 'format' = 'csv', \
             'csv.null-literal' = '{NULL}')",
            self.name,
            columns.join(", "),
            folder.join(self.name).display()
        )
    }

    /// Writes its file.
    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let folder = folder.join(self.name);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("rows.csv"), self.rows.join("\n") + "\n")
    }
}
