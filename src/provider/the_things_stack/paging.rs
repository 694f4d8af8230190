//! Lists, read to their end although the server counts pages and the list may change between two of them.
//!
//! Always holds: the size of a page is asked for, and a short page alone is never taken for the last. The end is an
//! empty page, or the count in `X-Total-Count` together with a page that is not full.

use std::collections::HashSet;

use http::StatusCode;
use jiff::Timestamp;
use reqwest::Url;
use serde::de::DeserializeOwned;

use super::Operation;
use super::api::{Api, message};
use crate::provider::http::Answer;
use crate::provider::{ProviderError, hint};

/// The most that a page can hold. Without a limit the server sends 100 and says nothing.
pub(super) const LARGEST_PAGE: u32 = 1000;

const TOTAL: &str = "x-total-count";

/// A list as the server sends it: an empty one is left out of its body.
pub(super) trait List: DeserializeOwned {
    /// What it holds.
    type Item;

    /// What it holds, in order.
    fn items(self) -> Vec<Self::Item>;

    /// By which an item is known when it comes twice.
    fn id(item: &Self::Item) -> &str;
}

/// One page.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// How many there are on all pages, where the server tells.
    pub(super) total: Option<u64>,
    /// The server's own clock.
    pub(super) at: Option<Timestamp>,
}

/// How a walk through the pages ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Everything was seen.
    Complete,
    /// The list changed meanwhile, so something may have slipped from one page to another.
    Moved,
    /// There are more pages than we read.
    TooLong,
}

/// What the pages held, each item once.
#[derive(Debug)]
pub(super) struct Walk<T> {
    pub(super) items: Vec<T>,
    pub(super) end: End,
    /// The server's own clock at the last page.
    pub(super) at: Option<Timestamp>,
}

/// What is known between two pages.
#[derive(Debug, Default)]
struct Count {
    seen: HashSet<String>,
    /// The largest total that a page told. One that fell since means that something slipped to an earlier page.
    total: Option<u64>,
}

impl Count {
    /// Whether as many were seen as were ever told, if any were.
    fn is_all(&self) -> bool {
        self.total.is_none_or(|total| self.seen.len() as u64 >= total)
    }

    /// How the walk ends after a page with so many items, so many of them new; `None`: it goes on.
    fn end(&self, items: usize, fresh: usize) -> Option<End> {
        let is_full = items >= LARGEST_PAGE as usize;
        match (items, fresh) {
            (0, _) => Some(if self.is_all() { End::Complete } else { End::Moved }),
            (_, _) if !is_full && self.total.is_some() && self.is_all() => Some(End::Complete),
            // Nothing but what was seen before: it moved, or the server does not turn pages.
            (_, 0) => Some(End::Moved),
            (_, _) => None,
        }
    }
}

impl Api {
    /// Reads at most `most` pages of the list at `url`, which has no paging in its query, and keeps what `wanted` says.
    pub(super) async fn walk<L: List>(
        &self,
        operation: Operation,
        url: &Url,
        most: u32,
        wanted: impl Fn(&L::Item) -> bool,
    ) -> Result<Walk<L::Item>, ProviderError> {
        let mut walk = Walk { items: Vec::new(), end: End::TooLong, at: None };
        let mut count = Count::default();
        for number in 1..=most {
            let page = self.page::<L>(operation, numbered(url, number)).await?;
            let (items, before) = (page.items.len(), count.seen.len());
            count.total = count.total.max(page.total);
            let fresh = page.items.into_iter().filter(|item| count.seen.insert(L::id(item).to_owned()));
            walk.items.extend(fresh.filter(&wanted));
            walk.at = page.at;
            if let Some(end) = count.end(items, count.seen.len() - before) {
                walk.end = end;
                break;
            }
        }
        Ok(walk)
    }

    /// Reads one page. A body that is anything but such a list is no empty list.
    pub(super) async fn page<L: List>(&self, operation: Operation, url: Url) -> Result<Page<L::Item>, ProviderError> {
        let answer = self.get(operation, url).await?;
        let list = (answer.status == StatusCode::OK).then(|| message::<L>(&answer)).flatten();
        let items = list.ok_or_else(|| self.error(operation, &answer))?.items();
        Ok(Page { items, total: total(&answer), at: hint::time(&answer) })
    }
}

fn numbered(url: &Url, number: u32) -> Url {
    let mut url = url.clone();
    let (limit, number) = (LARGEST_PAGE.to_string(), number.to_string());
    url.query_pairs_mut().append_pair("limit", &limit).append_pair("page", &number);
    url
}

fn total(answer: &Answer) -> Option<u64> {
    hint::numbers(answer, TOTAL).filter_map(|total| u64::try_from(total).ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(seen: usize, totals: &[u64]) -> Count {
        Count { seen: (0..seen).map(|n| n.to_string()).collect(), total: totals.iter().copied().max() }
    }

    #[test]
    fn a_list_ends_where_it_is_empty_or_counted() {
        let full = LARGEST_PAGE as usize;
        let table = [
            (count(0, &[]), 0, 0, Some(End::Complete), "nothing at all"),
            (count(3, &[3]), 3, 3, Some(End::Complete), "all on one page"),
            (count(3, &[]), 3, 3, None, "a short page without a count may not be the last"),
            (count(3, &[]), 0, 0, Some(End::Complete), "an empty page is the end"),
            (count(100, &[250]), 100, 100, None, "a server that makes smaller pages"),
            (count(full, &[1000]), full, full, None, "a full page may hide what came since"),
            (count(full, &[1000]), 0, 0, Some(End::Complete), "and the next tells"),
            (count(1200, &[1300]), 0, 0, Some(End::Moved), "fewer than were counted"),
            (count(1200, &[1300, 1200]), 200, 200, None, "the count fell, so some may have slipped to an earlier page"),
            (count(1200, &[1300, 1200]), 0, 0, Some(End::Moved), "which is told at the end"),
            (count(1201, &[1200, 1201]), 201, 201, Some(End::Complete), "one more came, at the end"),
            (count(100, &[250]), 100, 0, Some(End::Moved), "the same page again"),
            (count(100, &[]), 100, 0, Some(End::Moved), "the same page again, uncounted"),
        ];
        for (count, items, fresh, end, what) in table {
            assert_eq!(count.end(items, fresh), end, "{what}");
        }
    }
}
