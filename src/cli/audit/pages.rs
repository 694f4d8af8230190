//! Listings of the API, part after part.

use serde::de::DeserializeOwned;

use crate::cli::client::{Api, ApiError};
use crate::store::Page;

/// The most that the API gives at once.
const LARGEST_PAGE: usize = 1000;

/// Gives every item to `take`, until it has enough and answers `false`. `cursor` is the name of the parameter that goes on.
pub(super) async fn each<T: DeserializeOwned>(
    api: &Api,
    path: &str,
    filters: &[(&'static str, String)],
    cursor: &'static str,
    mut take: impl FnMut(T) -> bool,
) -> Result<(), ApiError> {
    let mut query = filters.to_vec();
    query.push(("limit", LARGEST_PAGE.to_string()));
    let fixed = query.len();
    loop {
        let page: Page<T> = api.get(path, &query).await?.read()?;
        for item in page.items {
            if !take(item) {
                return Ok(());
            }
        }
        let Some(next) = page.next_cursor else { return Ok(()) };
        if query.last().is_some_and(|(name, earlier)| *name == cursor && *earlier == next) {
            return Err(ApiError::Strange("the listing goes in a circle; is --url a sever?".to_owned()));
        }
        query.truncate(fixed);
        query.push((cursor, next));
    }
}
