//! How long a picture's look-up takes in tables of 1,000, 100,000 and 1,000,000 operations:
//!
//! ```sh
//! cargo bench --bench lookup            # the embedded table, and MySQL's when it is at hand
//! cargo bench --bench lookup -- 1000 50000
//! ```
//!
//! MySQL is the one that `PICRESIZE_TEST_MYSQL` names (see `scripts/services`). The rows are made
//! up: each four have one source, each hundredth is of one popular picture, and none has its
//! pictures with it, which look-ups don't read. Prints medians in milliseconds, as Markdown.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use picresize::operation::{Digest, Fingerprint, OperationId, Tenant};
use picresize::picture_store::embedded::EmbeddedStore;
use picresize::picture_store::mysql::{MysqlOptions, MysqlStore, TlsMode};
use picresize::picture_store::{MOST_DISTANCE, Page, PictureStore};
use rusqlite::{Connection, params};

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
const ROWS_OF_A_SOURCE: u64 = 4;
/// One operation of so many is of the popular picture.
const POPULAR: u64 = 100;
const ROUNDS: u64 = 200;
const FEW_ROUNDS: u64 = 20;
/// What a first page asks for.
const PAGE: Page = Page { skip: 0, take: 21 };
/// When the first operation was queued, in seconds since 1970.
const BEGIN: u64 = 1_767_225_600;

#[tokio::main]
async fn main() -> Result<()> {
    let asked: Vec<u64> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if asked.is_empty() {
        SIZES.to_vec()
    } else {
        asked
    };
    println!(
        "| table | rows | exact | exact, none | similar | similar, none | popular, exact | popular, similar |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    embedded(&sizes).await?;
    match std::env::var("PICRESIZE_TEST_MYSQL") {
        Ok(address) => mysql(&address, &sizes).await,
        Err(_) => {
            eprintln!("SKIPPED: PICRESIZE_TEST_MYSQL is not set: MySQL is not measured");
            Ok(())
        }
    }
}

async fn embedded(sizes: &[u64]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pictures.sqlite");
    let store = EmbeddedStore::open(&file)?;
    let mut filled = 0;
    for &size in sizes {
        let start = Instant::now();
        fill_embedded(&file, filled, size)?;
        filled = size;
        eprintln!("embedded: {size} rows after {:.0?}", start.elapsed());
        measure("embedded", &store, size).await?;
    }
    Ok(())
}

fn fill_embedded(file: &Path, from: u64, to: u64) -> Result<()> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.pragma_update(None, "cache_size", -1_000_000)?;
    let filling = connection.transaction()?;
    {
        let mut insert = filling.prepare(
            "INSERT INTO pictures (id, status, request, source_format, source_width,
                 source_height, source_bytes, source_digest, result_format, result_width,
                 result_height, result_bytes, result_digest, fingerprint, attempts, queued_at)
             VALUES (?1, 'done', '[[\"width\",\"320\"]]', 'jpeg', 2048, 1365, 900000, ?2, 'jpeg',
                 320, 213, 20000, ?3, ?4, 1, ?5)",
        )?;
        for row in from..to {
            insert.execute(params![
                id(row),
                source(row).to_string(),
                result(row).to_string(),
                fingerprint(row).0.cast_signed(),
                ((BEGIN + row) * 1000).cast_signed(),
            ])?;
        }
    }
    filling.commit()?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

async fn mysql(address: &str, sizes: &[u64]) -> Result<()> {
    let server = Opts::from_url(address)?;
    let options = MysqlOptions {
        host: server.ip_or_hostname().to_owned(),
        port: server.tcp_port(),
        database: format!("bench_{}", std::process::id()),
        user: server.user().unwrap_or_default().to_owned(),
        password: server.pass().unwrap_or_default().into(),
        tls: TlsMode::Off,
        ca_file: None,
        connections: 2,
        max_picture_bytes: 64 << 20,
    };
    MysqlStore::migrate(&options).await?;
    let mut connection = Conn::new(server).await?;
    let measured = measure_mysql(&options, &mut connection, sizes).await;
    let drop = format!("DROP DATABASE {}", options.database);
    connection.query_drop(drop).await?;
    connection.disconnect().await?;
    measured
}

async fn measure_mysql(options: &MysqlOptions, connection: &mut Conn, sizes: &[u64]) -> Result<()> {
    let use_database = format!("USE {}", options.database);
    connection.query_drop(use_database).await?;
    let store = MysqlStore::open(options.clone()).await?;
    let mut filled = 0;
    for &size in sizes {
        let start = Instant::now();
        fill_mysql(connection, filled, size).await?;
        filled = size;
        eprintln!("MySQL: {size} rows after {:.0?}", start.elapsed());
        measure("MySQL", &store, size).await?;
    }
    Ok(())
}

/// The server makes the rows, the same as [`fill_embedded`] does.
async fn fill_mysql(connection: &mut Conn, from: u64, to: u64) -> Result<()> {
    const AT_ONCE: u64 = 20_000;
    connection
        .query_drop(format!("SET SESSION cte_max_recursion_depth = {AT_ONCE}"))
        .await?;
    for start in (from..to).step_by(AT_ONCE as usize) {
        let last = (start + AT_ONCE).min(to) - 1;
        let insert = format!(
            "INSERT INTO pictures (id, status, request, source_format, source_width,
                 source_height, source_bytes, source_digest, result_format, result_width,
                 result_height, result_bytes, result_digest, fingerprint, attempts, queued_at)
             WITH RECURSIVE numbers (n) AS
                 (SELECT {start} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last}),
             pictured (n, p) AS (SELECT n, IF(n % {POPULAR} = 0, 0, n) FROM numbers)
             SELECT CONCAT(LPAD(LOWER(HEX(n)), 8, '0'), '-0000-7000-8000-000000000000'), 'done',
                 '[[\"width\",\"320\"]]', 'jpeg', 2048, 1365, 900000,
                 SHA2(CONCAT('source ', p DIV {ROWS_OF_A_SOURCE}), 256), 'jpeg', 320, 213, 20000,
                 SHA2(CONCAT('result ', p), 256),
                 CAST(CAST(CONV(LEFT(SHA2(CONCAT('look ', p), 256), 16), 16, 10) AS UNSIGNED)
                     AS SIGNED),
                 1, '2026-01-01 00:00:00' + INTERVAL n SECOND
             FROM pictured"
        );
        connection.query_drop(insert).await?;
    }
    connection.query_drop("ANALYZE TABLE pictures").await?;
    Ok(())
}

/// The row whose picture this row has.
fn picture(row: u64) -> u64 {
    if row.is_multiple_of(POPULAR) { 0 } else { row }
}

fn id(row: u64) -> String {
    format!("{row:08x}-0000-7000-8000-000000000000")
}

fn source(row: u64) -> Digest {
    Digest::of(format!("source {}", picture(row) / ROWS_OF_A_SOURCE).as_bytes())
}

fn result(row: u64) -> Digest {
    Digest::of(format!("result {}", picture(row)).as_bytes())
}

fn fingerprint(row: u64) -> Fingerprint {
    look(&format!("look {}", picture(row)))
}

fn look(of: &str) -> Fingerprint {
    let digits = Digest::of(of.as_bytes()).to_string();
    Fingerprint(u64::from_str_radix(&digits[..16], 16).unwrap_or_default())
}

/// Takes the medians and prints their row of the table.
async fn measure(name: &str, store: &dyn PictureStore, rows: u64) -> Result<()> {
    // A row that is not of the popular picture.
    let some = |round: u64| (round * 7919 + 1) % rows / POPULAR * POPULAR + 1 + round % 90;
    let nobody = |round: u64| Digest::of(format!("nobody {round}").as_bytes());
    let exact = async |digest, row: Option<u64>| {
        let found = store.with_digest(&Tenant::default(), digest, PAGE).await?;
        among(row, found.iter().map(|operation| operation.id))
    };
    let similar = async |fingerprint, row: Option<u64>| {
        let everybody = Tenant::default();
        let found = store.similar(&everybody, fingerprint, MOST_DISTANCE, nobody(0), PAGE);
        among(row, found.await?.iter().map(|(_, operation)| operation.id))
    };
    let newest_popular = Some((rows - 1) / POPULAR * POPULAR);
    let cells = [
        median(ROUNDS, async |n| {
            exact(result(some(n)), Some(some(n))).await
        })
        .await?,
        median(ROUNDS, async |n| exact(nobody(n), None).await).await?,
        median(ROUNDS, async |n| {
            similar(near(some(n)), Some(some(n))).await
        })
        .await?,
        median(ROUNDS, async |n| {
            similar(look(&format!("stranger {n}")), None).await
        })
        .await?,
        median(FEW_ROUNDS, async |_| exact(result(0), newest_popular).await).await?,
        median(FEW_ROUNDS, async |_| similar(near(0), newest_popular).await).await?,
    ];
    println!("| {name} | {rows} | {} |", cells.join(" | "));
    Ok(())
}

/// A look-alike of a row's: seven bits away, as even over the bands as they can be.
fn near(row: u64) -> Fingerprint {
    Fingerprint(fingerprint(row).0 ^ 0x0003_0300_0030_4000)
}

/// Checks that a row is among those that were found, or that none was.
fn among(row: Option<u64>, mut found: impl Iterator<Item = OperationId>) -> Result<()> {
    match row {
        None => ensure!(found.next().is_none(), "a row is found that is not there"),
        Some(row) => {
            let wanted: OperationId = id(row).parse()?;
            ensure!(found.any(|id| id == wanted), "row {row} is not found");
        }
    }
    Ok(())
}

/// The median of so many look-ups, in milliseconds.
async fn median(rounds: u64, look_up: impl AsyncFn(u64) -> Result<()>) -> Result<String> {
    let mut times = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        look_up(round).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    Ok(format!("{:.2}", median.as_secs_f64() * 1e3))
}
