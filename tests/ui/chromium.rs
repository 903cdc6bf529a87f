//! A real Chromium without a window, driven by chromedriver, which speaks WebDriver (<https://www.w3.org/TR/webdriver2/>).
//!
//! The commands that these tests need are few and are JSON over HTTP: a client for them is shorter than the list of crates
//! that one would bring.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{http::try_send, support::wait_until};

/// Arguments of Chromium: no window, no sandbox (tests run as root in containers), nothing that reaches the network.
const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
    "--window-size=1280,1000",
];

/// Where `.ci/browser` puts axe-core, and where screenshots go.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser")
}

/// A browser with one window.
pub struct Chromium {
    driver: Child,
    port: u16,
    session: String,
    axe: String,
    profile: tempfile::TempDir,
}

impl Chromium {
    /// A browser, or none where it is not installed, which is said on standard error, past the test's captured output.
    /// `BROWSER_TESTS=require` fails instead.
    #[allow(clippy::explicit_write, reason = "shown also if the test passes")]
    pub fn start(test: &str) -> Option<Self> {
        match Self::try_start() {
            Ok(browser) => Some(browser),
            Err(missing) => {
                let said =
                    format!("the browser test {test} was NOT RUN: {missing}; see CONTRIBUTING.md");
                let required = std::env::var("BROWSER_TESTS").is_ok_and(|value| value == "require");
                assert!(!required, "{said}");
                writeln!(std::io::stderr(), "{said}").unwrap();
                None
            }
        }
    }

    fn try_start() -> Result<Self, String> {
        let chromium = ["chromium", "google-chrome"]
            .iter()
            .find_map(|name| on_path(name));
        let chromium = chromium.ok_or("chromium is not on the PATH")?;
        let driver = on_path("chromedriver").ok_or("chromedriver is not on the PATH")?;
        let axe = folder().join("node_modules/axe-core/axe.min.js");
        let axe =
            fs::read_to_string(&axe).map_err(|error| format!("{}: {error}", axe.display()))?;
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("chromedriver does not start: {error}"))?;
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver,
            port: port.expect("chromedriver says its port"),
            session: String::new(),
            axe,
            profile,
        };
        let profile = format!("--user-data-dir={}", browser.profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([profile.as_str()]).collect();
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            // axe-core takes seconds for a long page, and longer on a busy machine.
            "timeouts": {"script": 110_000},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let opened = browser.command(
            "POST",
            "",
            &json!({"capabilities": {"alwaysMatch": wanted}}),
        );
        browser.session = format!("/{}", opened["sessionId"].as_str().unwrap());
        Ok(browser)
    }

    /// Sends a command; fails unless it succeeds.
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_command(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let host = format!("127.0.0.1:{}", self.port);
        let headers = [
            ("host", host.as_str()),
            ("content-type", "application/json"),
        ];
        let path = format!("/session{}{path}", self.session);
        let body = if method == "POST" {
            body.to_string()
        } else {
            String::new()
        };
        let answer = try_send(self.port, method, &path, &headers, &body);
        let answer = answer.map_err(|error| error.to_string())?;
        let mut value: Value =
            serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        if answer.status == 200 {
            Ok(value["value"].take())
        } else {
            Err(value["value"]["message"].to_string())
        }
    }

    pub fn open(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    pub fn address(&self) -> String {
        self.run("return location.href")
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Runs a script in the page and returns what it returns.
    pub fn run(&self, script: &str) -> Value {
        self.command(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// Waits for an element of the page, by a selector of CSS.
    fn element(&self, selector: &str) -> String {
        wait_until(selector, || {
            let found = self.try_command(
                "POST",
                "/element",
                &json!({"using": "css selector", "value": selector}),
            )?;
            let id = found
                .as_object()
                .and_then(|found| found.values().next())
                .and_then(Value::as_str);
            Ok(format!("/element/{}", id.unwrap()))
        })
    }

    /// Clicks an element; one that a change of the page has just replaced is looked for again.
    pub fn click(&self, selector: &str) {
        wait_until(selector, || {
            let element = self.element(selector);
            self.try_command("POST", &format!("{element}/click"), &json!({}))
        });
    }

    pub fn fill(&self, selector: &str, text: &str) {
        wait_until(selector, || {
            let element = self.element(selector);
            self.try_command(
                "POST",
                &format!("{element}/value"),
                &json!({ "text": text }),
            )
        });
    }

    /// What a person reads of an element, hidden parts excluded.
    pub fn text(&self, selector: &str) -> String {
        wait_until(selector, || {
            let element = self.element(selector);
            let text = self.try_command("GET", &format!("{element}/text"), &Value::Null)?;
            Ok(text.as_str().unwrap().to_owned())
        })
    }

    /// Waits, without a reload, until an element reads like this.
    pub fn wait_for(&self, selector: &str, text: &str) {
        wait_until(&format!("{text:?} in {selector}"), || {
            let read = self.text(selector);
            if read.contains(text) {
                Ok(())
            } else {
                Err(read)
            }
        });
    }

    /// Waits, without a reload, until an element no longer reads like this.
    pub fn wait_until_gone(&self, selector: &str, text: &str) {
        wait_until(&format!("no {text:?} in {selector}"), || {
            let read = self.text(selector);
            if read.contains(text) {
                Err(read)
            } else {
                Ok(())
            }
        });
    }

    /// A command of the `DevTools` of Chromium.
    fn devtools(&self, name: &str, parameters: &Value) {
        self.command(
            "POST",
            "/goog/cdp/execute",
            &json!({"cmd": name, "params": parameters}),
        );
    }

    /// As wide as this, in the colours of `scheme`.
    fn show_as(&self, width: u32, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Checks the page in light and dark, on a desk and on a phone: nothing serious for axe-core, nothing wider than the
    /// screen, no error in the console. Leaves screenshots in `target/browser/screenshots`.
    pub fn inspect(&self, name: &str) {
        for (width, scheme) in [
            (1280, "light"),
            (1280, "dark"),
            (360, "light"),
            (360, "dark"),
        ] {
            self.show_as(width, scheme);
            self.photograph(&format!("{name}-{scheme}-{width}"));
            let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(self.run(wide), json!(0), "{name} at {width}");
            let serious = self.serious();
            assert!(
                serious.is_empty(),
                "{name} in {scheme} at {width}: {serious:#?}"
            );
        }
        self.show_as(1280, "light");
        assert_eq!(self.complaints(), Vec::<String>::new(), "{name}");
    }

    /// A screenshot of the whole page.
    fn photograph(&self, name: &str) {
        let height = self.run("return document.documentElement.scrollHeight");
        let width = self.run("return innerWidth");
        let height = height.as_u64().unwrap().min(4000);
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let image = self.command("GET", "/screenshot", &Value::Null);
        let image = STANDARD.decode(image.as_str().unwrap()).unwrap();
        let folder = folder().join("screenshots");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), image).unwrap();
    }

    /// What axe-core finds that is serious or critical.
    fn serious(&self) -> Vec<Value> {
        if self.run("return typeof axe") == json!("undefined") {
            self.run(&format!("{}; window.axe = axe;", self.axe));
        }
        let script = "const done = arguments[0];
            axe.run(document).then((found) => done(found.violations
                .filter((one) => ['serious', 'critical'].includes(one.impact))
                .map((one) => [one.id, one.help, one.nodes.map((node) => node.html).slice(0, 3)])), (error) => done([String(error)]));";
        let found = self.command(
            "POST",
            "/execute/async",
            &json!({"script": script, "args": []}),
        );
        found.as_array().unwrap().clone()
    }

    /// What the console complains about since the last time: errors of scripts, and what the content security policy stopped.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.command("POST", "/se/log", &json!({"type": "browser"}));
        let lines = lines.as_array().unwrap().iter();
        lines
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Ends Chromium too. A test that has failed may have ended both.
        let _ = self.try_command("DELETE", "", &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
