//! A running `kubectl wsp ui`, and a browser that has opened its link.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Stdio},
};

use super::{
    http::{Answer, send},
    support::{Env, plugin, wait_until},
};

/// The process, ended when dropped.
pub struct Page {
    process: Child,
    /// The link that it printed.
    pub link: String,
    pub port: u16,
    /// Below which everything is.
    pub base: String,
}

impl Page {
    /// For the user of `kubeconfig`, with these arguments.
    pub fn start(kubeconfig: &Path, args: &[&str]) -> Self {
        let mut process = plugin()
            .env("KUBECONFIG", kubeconfig)
            .arg("ui")
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        let link = said
            .trim()
            .strip_prefix("Open ")
            .unwrap_or_else(|| panic!("{said:?}"));
        let (port, path) = link
            .strip_prefix("http://127.0.0.1:")
            .unwrap()
            .split_once('/')
            .unwrap();
        let (base, _) = path.split_once('/').unwrap();
        Self {
            port: port.parse().unwrap(),
            base: format!("/{base}"),
            link: link.to_owned(),
            process,
        }
    }

    /// For the administrator, in the namespace of a test.
    pub fn of(env: &Env) -> Self {
        Self::start(
            env.plane.admin_kubeconfig(),
            &["--namespace", &env.namespace],
        )
    }

    /// Path and query of the link.
    pub fn start_path(&self) -> &str {
        let (_, path) = self.link.split_once(&format!(":{}", self.port)).unwrap();
        path
    }

    /// A path of the page, as a request names it.
    pub fn at(&self, path: &str) -> String {
        let path = if path == "/" { "" } else { path };
        format!("{}{path}", self.base)
    }

    /// The address as the header `Host` names it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A browser that opens the link.
    pub fn open(&self) -> Browser<'_> {
        let answer = send(
            self.port,
            "GET",
            self.start_path(),
            &[("host", &self.host())],
            "",
        );
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = answer
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        Browser {
            cookie: cookie.to_owned(),
            page: self,
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // One that has ended by itself has nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser with the cookie.
pub struct Browser<'a> {
    pub cookie: String,
    page: &'a Page,
}

impl Browser<'_> {
    pub fn get(&self, path: &str) -> Answer {
        let host = self.page.host();
        send(
            self.page.port,
            "GET",
            &self.page.at(path),
            &[("host", &host), ("cookie", &self.cookie)],
            "",
        )
    }

    /// Sends a form of the page itself.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (host, origin) = (self.page.host(), format!("http://{}", self.page.host()));
        let headers = [
            ("host", host.as_str()),
            ("cookie", &self.cookie),
            ("origin", &origin),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let mut body = form_urlencoded::Serializer::new(String::new());
        send(
            self.page.port,
            "POST",
            &self.page.at(path),
            &headers,
            &body.extend_pairs(fields).finish(),
        )
    }

    /// The page once it contains all of this.
    pub fn wait_for(&self, path: &str, shown: &[&str]) -> String {
        wait_until("the page", || {
            let html = self.get(path).body;
            match shown.iter().find(|text| !html.contains(**text)) {
                None => Ok(html),
                Some(missing) => Err(format!("{missing:?} is not in {html}")),
            }
        })
    }
}
