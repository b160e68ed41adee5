//! The Explorer, as a program and as a person use it: over HTTP, and in headless Chromium.
//!
//! Without Chromium and its driver the second says loudly that it was skipped; where `CI` is set it fails.

use std::env;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A bug, the configuration that shows it, and the property that it breaks.
const BUG: &str = "vote-not-written";
const CONFIGURATION: &str = "quick-election";
const PROPERTY: &str = "vote_stability";

/// How long anything is waited for; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Guest(Child);

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One test at a time: a port that is free for one is free for the other as well.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody listens at now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

/// Asks until there is an answer or patience ends.
fn await_some<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// One request, and its status and body. The driver speaks no older HTTP than 1.1, and the Explorer sends
/// pieces to whoever speaks that.
fn request(port: u16, version: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("it is no zero");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/{version}\r\nConnection: close\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    // A server may keep the connection open beyond what it announced.
    loop {
        if let Some((head, rest)) = split(&answer)
            && announced(&head).is_some_and(|length| rest.len() >= length)
        {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
        }
    }
    let (head, rest) = split(&answer)?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, String::from_utf8_lossy(rest).into_owned()))
}

fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&answer[..end]).into_owned(), &answer[end + 4..]))
}

fn announced(head: &str) -> Option<usize> {
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    field?.trim().parse().ok()
}

fn get(port: u16, path: &str) -> Value {
    let (status, body) = request(port, "1.0", "GET", path, "").expect("the Explorer answers");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
}

/// An Explorer of the bug, its port, and the choices that lead to the violation.
fn explore() -> (Guest, u16, Vec<String>) {
    let port = free_port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dkv-models"))
        .args(["explore", CONFIGURATION, "--bug", BUG, "--address", &format!("127.0.0.1:{port}")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let guest = Guest(child);
    let link = output
        .lines()
        .map(|line| line.expect("it prints text"))
        .find_map(|line| {
            line.starts_with(&format!("{BUG} ")).then(|| line.split("/#/steps/").nth(1).map(str::to_owned))
        })
        .flatten()
        .expect("the link of the saved path is printed");
    let choices: Vec<String> =
        link.split_whitespace().next().unwrap_or("").split('/').map(str::to_owned).collect();
    assert!(choices.len() > 5, "{link}");
    await_some("the Explorer listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    (guest, port, choices)
}

#[test]
fn it_speaks_http() {
    let _alone = alone();
    let (_guest, port, choices) = explore();

    let status = get(port, "/.status");
    let properties: Vec<&str> = status["properties"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|property| property[1].as_str())
        .collect();
    for name in [PROPERTY, "election_safety", "no_panic", "healed_replicas_converge"] {
        assert!(properties.contains(&name), "{name} is not among {properties:?}");
    }

    let first = get(port, "/.states/0");
    let first = first.as_array().expect("a list");
    assert!(!first.is_empty());
    for step in first {
        let text =
            |field: &str| step[field].as_str().unwrap_or_else(|| panic!("no {field} in {step}")).to_owned();
        assert!(text("action").parse::<dkv_models::actions::Action>().is_ok(), "{step}");
        assert!(text("state").starts_with("n0"), "{step}");
        assert!(text("outcome").contains("every property holds"), "{step}");
        assert!(text("svg").starts_with("<svg") && text("svg").ends_with("</svg>"), "{step}");
    }

    let (last, before) = choices.split_last().expect("a path");
    let steps = get(port, &format!("/.states/{}", before.join("/")));
    let step = steps
        .as_array()
        .and_then(|steps| steps.iter().find(|step| step["actionIndex"].as_u64() == last.parse().ok()))
        .unwrap_or_else(|| panic!("no step {last} among {steps}"));
    for field in ["outcome", "state", "svg"] {
        let text = step[field].as_str().expect("text");
        assert!(text.contains(&format!("VIOLATED {PROPERTY}")), "{field}: {text}");
    }

    let (status, _) = request(port, "1.0", "GET", "/.states/0/999", "").expect("it still answers");
    assert_eq!(status, 404, "there is no such step");
}

/// A browser that a test drives, by the WebDriver protocol.
struct Browser {
    _driver: Guest,
    port: u16,
    session: String,
}

impl Browser {
    /// Starts headless Chromium; nothing if it is not installed.
    fn start() -> Option<Browser> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = match driver {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            driver => Guest(driver.expect("the driver starts")),
        };
        let output = BufReader::new(driver.0.stdout.take().expect("it is piped"));
        // "ChromeDriver was started successfully on port 40001."
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("the driver says where it listens");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1400,1100",
        ];
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let (status, body) =
            request(port, "1.1", "POST", "/session", &wanted.to_string()).expect("it answers");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let session = answer["value"]["sessionId"].as_str().expect("a session").to_owned();
        Some(Browser { _driver: driver, port, session })
    }

    fn call(&self, method: &str, what: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{what}", self.session);
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let (status, answer) = request(self.port, "1.1", method, &path, &body).expect("the driver answers");
        assert_eq!(status, 200, "{what}: {answer}");
        serde_json::from_str::<Value>(&answer).expect("JSON")["value"].take()
    }

    fn open(&self, url: &str) {
        self.call("POST", "url", &json!({ "url": url }));
    }

    /// What a script of the page returns.
    fn run(&self, script: &str) -> Value {
        self.call("POST", "execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn await_text(&self, wanted: &str) {
        let mut seen = String::new();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            seen = self.run("return document.body.innerText").as_str().unwrap_or("").to_owned();
            if seen.contains(wanted) {
                return;
            }
        }
        panic!("the page does not show `{wanted}` but:\n{seen}");
    }

    /// Follows the first link below a heading that has this text.
    fn click(&self, heading: &str, text: &str) {
        let xpath = format!("(//h2[.='{heading}']/following-sibling::ul[1]//a[contains(., '{text}')])[1]");
        let found = self.call("POST", "element", &json!({ "using": "xpath", "value": xpath }));
        let element =
            found.as_object().and_then(|object| object.values().next()?.as_str()).expect("an element");
        self.call("POST", &format!("element/{element}/click"), &json!({}));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver's own end would leave the browser behind.
        let _ = request(self.port, "1.1", "DELETE", &format!("/session/{}", self.session), "");
    }
}

#[test]
fn a_person_sees_a_bug_in_a_browser() {
    let _alone = alone();
    let Some(browser) = Browser::start() else {
        let reason = "SKIPPED: chromedriver and chromium are not installed, so no page was looked at";
        eprintln!("{reason}");
        assert!(env::var("CI").as_deref() != Ok("true"), "{reason}");
        return;
    };
    let (_guest, port, choices) = explore();

    browser.open(&format!("http://127.0.0.1:{port}/#/steps/0"));
    browser.await_text(&format!("Always {PROPERTY}"));
    browser.await_text("Next Action Choices");
    browser.click("Next Action Choices", "fire Election of n0");
    browser.await_text("n0@1 pre-candidate");
    browser.await_text("every property holds");
    let place = browser.run("return window.location.hash");
    assert!(place.as_str().is_some_and(|hash| hash.starts_with("#/steps/0/")), "{place}");

    browser.open(&format!("http://127.0.0.1:{port}/#/steps/{}", choices.join("/")));
    browser.await_text(&format!("VIOLATED {PROPERTY}"));
    let arrows = browser.run("return document.querySelectorAll('svg line[marker-end]').length");
    assert!(arrows.as_u64().is_some_and(|arrows| arrows >= 2), "{arrows} messages in the diagram");
}
