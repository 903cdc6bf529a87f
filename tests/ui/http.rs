//! Requests as they are on the wire: of a browser or any other client, with any headers.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// An answer.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name);
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} occurs twice");
        Some(&value.1)
    }
}

/// Sends exactly these headers and this body to 127.0.0.1, and reads the answer.
pub fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_send(port, method, path, headers, body).unwrap()
}

/// The same, if something listens there.
pub fn try_send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_mins(2)))?;
    let length = body.len().to_string();
    let own = [("connection", "close"), ("content-length", &length)];
    let headers = headers.iter().copied().chain(own);
    let headers: String = headers
        .map(|(name, value)| [name, ": ", value, "\r\n"].concat())
        .collect();
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut head = stream.by_ref().lines();
    let mut next = || head.next().unwrap_or_else(|| Ok(String::new()));
    let status = next()?;
    let mut headers = Vec::new();
    loop {
        let line = next()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut answer = Answer {
        status: status.unwrap_or_default(),
        headers,
        body: String::new(),
    };
    // chromedriver keeps the connection open, whatever it is asked.
    let length = answer.header("content-length").map(str::parse);
    let length = length.unwrap_or(Ok(u64::MAX)).unwrap();
    stream.take(length).read_to_string(&mut answer.body)?;
    Ok(answer)
}
