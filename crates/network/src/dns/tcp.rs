//! DNS over TCP (RFC 7766): two bytes of length before each message, several questions under way at once.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message::Transport;
use super::respond;
use crate::state::State;

/// Questions of one connection that are worked on at once; the next is read when one of them has its answer.
const PIPELINED: usize = 16;
/// Longest question. A name is at most 255 bytes, and EDNS options are short; more is no question.
const LONGEST_QUESTION: usize = 4096;
/// How long a connection may be quiet, or a question be half sent.
const QUIET: Duration = Duration::from_secs(10);
/// How long an answer may wait for a client that does not read.
const UNREAD: Duration = Duration::from_secs(10);

/// Answers the questions of one connection until the client closes it, is quiet for long, or sends what is no question.
pub(crate) async fn serve_tcp(state: State, stream: TcpStream) {
    let (read, write) = stream.into_split();
    let (answers, answered) = mpsc::channel(PIPELINED);
    // Each half ends with the other: no reader means no more answers, and no writer that none can be given.
    tokio::join!(read_questions(state, read, answers), write_answers(write, answered));
}

async fn read_questions(state: State, mut read: OwnedReadHalf, answers: mpsc::Sender<Vec<u8>>) {
    // Dropped with this function, and every question in it with the set.
    let mut under_way = JoinSet::new();
    while let Ok(Ok(question)) = timeout(QUIET, read_question(&mut read)).await {
        let (state, to) = (state.clone(), answers.clone());
        under_way.spawn(async move {
            if let Some(answer) = respond(&state, &question, Transport::Stream).await {
                // The writer is gone when the client does not read: then nobody waits for this.
                let _ = to.send(answer).await;
            }
        });
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= PIPELINED {
            under_way.join_next().await;
        }
        if answers.is_closed() {
            return;
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn read_question(read: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = usize::from(read.read_u16().await?);
    if length > LONGEST_QUESTION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut question = vec![0; length];
    read.read_exact(&mut question).await?;
    Ok(question)
}

async fn write_answers(mut write: OwnedWriteHalf, mut answered: mpsc::Receiver<Vec<u8>>) {
    while let Some(answer) = answered.recv().await {
        let Ok(length) = u16::try_from(answer.len()) else {
            return;
        };
        // In one piece: some clients take what one read gives for a whole message.
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        if !matches!(timeout(UNREAD, write.write_all(&framed)).await, Ok(Ok(()))) {
            return;
        }
    }
}
