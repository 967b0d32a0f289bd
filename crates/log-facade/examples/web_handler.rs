//! A web handler that stores what it is sent and answers when that is durable.
//! Requests that come at the same time share a sync, and none blocks a worker.
//!
//! ```text
//! cargo run -p log-facade --features tokio --example web_handler
//! ```
//!
//! The HTTP here is just enough for the example; a framework goes in its place.

use std::error::Error;
use std::net::SocketAddr;

use log_facade::{AsyncLog, Level, Log, Lsn};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: u64 = 20;
const BODY_BYTES_MAX: usize = 1 << 20;

/// `POST` with a body: its number in the log, once it is durable.
async fn handle(log: AsyncLog, mut stream: TcpStream) -> Outcome<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read);
    let mut length = 0;
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).await?;
        if let Some(value) = line.strip_prefix("Content-Length:") {
            length = value.trim().parse()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    if length > BODY_BYTES_MAX {
        write
            .write_all(b"HTTP/1.1 413 Content Too Large\r\n\r\n")
            .await?;
        return Ok(());
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).await?;
    let answer = match log.append_to(Level::Durable, &body).await {
        Ok(lsn) => format!("HTTP/1.1 201 Created\r\n\r\n{lsn}"),
        Err(error) => format!("HTTP/1.1 503 Service Unavailable\r\n\r\n{error}"),
    };
    Ok(write.write_all(answer.as_bytes()).await?)
}

async fn serve(log: AsyncLog, listener: TcpListener) -> Outcome<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let log = log.clone();
        tokio::spawn(async move {
            if let Err(error) = handle(log, stream).await {
                eprintln!("a request failed: {error}");
            }
        });
    }
}

/// Sends `body`, and returns the number that it got.
async fn post(server: SocketAddr, body: String) -> Outcome<u64> {
    let mut stream = TcpStream::connect(server).await?;
    let length = body.len();
    let request = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, lsn) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    assert!(head.starts_with("HTTP/1.1 201"), "{answer}");
    Ok(lsn.parse()?)
}

async fn run() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let log = AsyncLog::open(Log::options(), directory.path()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(serve(log.clone(), listener));

    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let body = format!("from client {client}");
        clients.spawn(async move { post(address, body.clone()).await.map(|lsn| (lsn, body)) });
    }
    while let Some(answered) = clients.join_next().await {
        let (lsn, body) = answered??;
        let record = log.read(Lsn(lsn)).await?.ok_or("not there")?;
        assert_eq!(record.payload(), body.as_bytes());
    }
    assert_eq!(log.watermarks().durable_end, Lsn(CLIENTS));
    println!("{CLIENTS} requests, {} syncs", log.stats().engine.syncs);
    server.abort();
    Ok(())
}

fn main() -> Outcome<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run())
}

#[test]
fn every_answer_is_given_for_a_durable_record() -> Outcome<()> {
    main()
}
