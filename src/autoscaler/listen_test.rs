use kaos_core::{Reading, WorkloadId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n";

fn line(proxy: &str, version: u32, sequence: u64) -> String {
    format!(
        "{{\"version\":{version},\"proxy\":\"{proxy}\",\"epoch\":1,\"sequence\":{sequence},\"at\":1,\
         \"full\":true,\"workloads\":[]}}\n"
    )
}

/// Accepts the next stream and answers its head with `answer`.
async fn accept(listener: &TcpListener, answer: &str) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("GET /v1/reports?version=1 HTTP/1.1\r\n"), "{head}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

struct Stage {
    listener: TcpListener,
    heard: Arc<Heard>,
    reports: mpsc::Receiver<Report>,
    proxies: watch::Sender<Proxies>,
    known: watch::Receiver<BTreeSet<ProxyId>>,
}

async fn stage() -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (sender, reports) = mpsc::channel(16);
    let heard = Arc::new(Heard::default());
    let clock = Clock::new(std::time::Instant::now());
    let listen = Listen { reports: sender, heard: heard.clone(), clock };
    let all = Proxies::from([(ProxyId::new("p"), listener.local_addr().unwrap())]);
    let (proxies, present) = watch::channel(all);
    let (tell, known) = watch::channel(BTreeSet::new());
    tokio::spawn(listen.run(present, tell));
    Stage { listener, heard, reports, proxies, known }
}

#[tokio::test]
async fn reports_come_as_they_are_made_and_the_stream_is_begun_again() {
    let mut stage = stage().await;
    let mut stream = accept(&stage.listener, HEAD).await;
    assert!(stage.known.borrow().contains(&ProxyId::new("p")));
    for sequence in 1..=2 {
        stream.write_all(line("p", 1, sequence).as_bytes()).await.unwrap();
        assert_eq!(stage.reports.recv().await.unwrap().sequence, sequence);
    }
    drop(stream);
    let mut stream = accept(&stage.listener, HEAD).await;
    stream.write_all(line("p", 1, 3).as_bytes()).await.unwrap();
    assert_eq!(stage.reports.recv().await.unwrap().sequence, 3);
    assert_eq!(stage.heard.last().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_is_gone_is_let_go_and_its_stream_ended() {
    let mut stage = stage().await;
    let mut stream = accept(&stage.listener, HEAD).await;
    stream.write_all(line("p", 1, 1).as_bytes()).await.unwrap();
    stage.reports.recv().await.unwrap();
    stage.proxies.send_replace(Proxies::new());
    stage.known.wait_for(BTreeSet::is_empty).await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(stage.heard.last().is_empty());
}

#[tokio::test]
async fn who_answers_at_the_address_of_another_isnt_believed() {
    let mut stage = stage().await;
    let mut stream = accept(&stage.listener, HEAD).await;
    stream.write_all(line("q", 1, 1).as_bytes()).await.unwrap();
    let mut stream = accept(&stage.listener, HEAD).await;
    stream.write_all(line("p", 1, 2).as_bytes()).await.unwrap();
    assert_eq!(stage.reports.recv().await.unwrap().proxy, ProxyId::new("p"));
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_read_ends_the_stream_and_nothing_of_it_counts() {
    let answers = [
        format!("{HEAD}{}", line("p", 2, 1)),
        format!("{HEAD}{}", "x".repeat(2 * crate::report::LINE)),
        "HTTP/1.1 406 Not Acceptable\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ];
    for answer in answers {
        let mut stage = stage().await;
        let (mut stream, _) = stage.listener.accept().await.unwrap();
        // It may be cut before all of it is written.
        let _ = stream.write_all(answer.as_bytes()).await;
        let began = Instant::now();
        let mut stream = accept(&stage.listener, HEAD).await;
        let hopeless = !answer.contains("503");
        assert_eq!(began.elapsed() >= HOPELESS / 2, hopeless, "{}", &answer[..20]);
        stream.write_all(line("p", 1, 9).as_bytes()).await.unwrap();
        assert_eq!(stage.reports.recv().await.unwrap().sequence, 9);
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_hung_up_on() {
    let stage = stage().await;
    let (mut silent, _) = stage.listener.accept().await.unwrap();
    let mut asked = Vec::new();
    timeout(10 * super::HEAD, silent.read_to_end(&mut asked)).await.unwrap().unwrap();
    assert!(asked.starts_with(b"GET /v1/reports"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_given_up() {
    let stage = stage().await;
    let silent = accept(&stage.listener, HEAD).await;
    let began = Instant::now();
    let _again = accept(&stage.listener, HEAD).await;
    assert!(began.elapsed() >= SILENCE);
    drop(silent);
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Written(Arc<std::sync::Mutex<Vec<u8>>>);

impl Written {
    fn begin() -> (Written, tracing::subscriber::DefaultGuard) {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (written, tracing::subscriber::set_default(subscriber))
    }

    fn count(&self, text: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock().unwrap()).matches(text).count()
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_cant_be_heard_is_told_once_until_it_is_heard_again() {
    let (written, _guard) = Written::begin();
    let mut stage = stage().await;
    // It lets nobody read.
    let away = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    for silences in 1..=2 {
        let begun = Instant::now();
        while begun.elapsed() < 6 * TELLING {
            accept(&stage.listener, away).await;
        }
        assert_eq!(written.count("can't be heard"), silences);
        let mut stream = accept(&stage.listener, HEAD).await;
        stream.write_all(line("p", 1, 1).as_bytes()).await.unwrap();
        stage.reports.recv().await.unwrap();
    }
}

/// The whole way: a hub behind the admin port's own code would say the same bytes.
#[tokio::test]
async fn what_a_hub_says_is_what_is_heard() {
    let (hub, sender) = crate::report::Hub::start(None);
    let reading = Reading { seen: 7, ..Reading::default() };
    let report = Report {
        version: REPORT_VERSION,
        proxy: ProxyId::new("p"),
        epoch: 1,
        sequence: 1,
        at: 1,
        full: true,
        workloads: vec![(WorkloadId::new("n", "w"), reading)],
    };
    sender.send(report.clone()).await.unwrap();
    let mut lines = hub.subscribe().unwrap();
    let mut stage = stage().await;
    let mut stream = accept(&stage.listener, HEAD).await;
    let frame = lines.frame().await.unwrap().unwrap();
    stream.write_all(frame.data_ref().unwrap()).await.unwrap();
    assert_eq!(stage.reports.recv().await.unwrap(), report);
}
