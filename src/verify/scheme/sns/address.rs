//! Which addresses belong to SNS. The envelope names them, and names of certificates are not signed.
//!
//! The text is compared piece by piece and never parsed: what two parsers would read differently does not pass at all.

/// The host of an address at which SNS keeps a certificate: `https://sns.<region>.amazonaws.com/SimpleNotificationService-
/// <32 letters and digits>.pem`, also in China.
pub(super) fn host_of_certificate(url: &str) -> Option<&str> {
    let (host, path) = host(url)?;
    let name = path.strip_prefix("SimpleNotificationService-")?.strip_suffix(".pem")?;
    let is_name = name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some(host)
}

/// Whether this address confirms a subscription, and nothing else.
pub(super) fn confirms(url: &str) -> bool {
    let Some((_, path)) = host(url) else { return false };
    let Some(query) = path.strip_prefix('?') else { return false };
    let is_query = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\');
    is_query(query) && query.split('&').any(|pair| pair == "Action=ConfirmSubscription")
}

/// Host and path of an address of SNS. No user, no port, and a slash behind the host.
fn host(url: &str) -> Option<(&str, &str)> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let domain = host.strip_prefix("sns.")?;
    let region = domain.strip_suffix(".amazonaws.com").or_else(|| domain.strip_suffix(".amazonaws.com.cn"))?;
    is_region(region).then_some((host, path))
}

/// `us-east-1`, `us-gov-west-1`: words of letters, and one digit at the end. A bucket of S3 can be named `sns`, which
/// makes `sns.s3-us-west-2.amazonaws.com` somebody else's; its second word has a digit.
fn is_region(text: &str) -> bool {
    let words: Vec<&str> = text.split('-').collect();
    let Some((number, names)) = words.split_last() else { return false };
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    names.len() >= 2
        && names.iter().all(is_name)
        && number.len() == 1
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// `arn:aws:sns:us-east-1:111122223333:security-findings`.
pub(super) fn is_topic(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [arn, partition, service, region, account, name] = parts[..] else { return false };
    let is_word = |text: &str| {
        (1..=256).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    arn == "arn" && partition.starts_with("aws") && service == "sns" && is_region(region) && is_account && is_word(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "SimpleNotificationService-03c7c0ace395d80182db07ae2c30f034.pem";

    #[test]
    fn certificates_are_fetched_from_sns_alone() {
        for host in
            ["sns.us-east-1.amazonaws.com", "sns.us-gov-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"]
        {
            assert_eq!(host_of_certificate(&format!("https://{host}/{NAME}")), Some(host));
        }
        for base in [
            "http://sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com.evil.example/",
            "https://evil.example/sns.us-east-1.amazonaws.com/",
            "https://sns.s3-us-west-2.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com:8443/",
            "https://user@sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com@evil.example/",
            "https://sns.us-east-1.amazonaws.com\\@evil.example/",
            "https://sns.us-east-1.amazonaws.com//",
            "https://sns.us-east-1.amazonaws.com/../",
            "https://sns.us-east-1.amazonaws.org/",
            "https://sns.us-east-12.amazonaws.com/",
            "https://sns.us1.amazonaws.com/",
            "https://sns..amazonaws.com/",
            "https://sns.amazonaws.com/",
            "https://xsns.us-east-1.amazonaws.com/",
            "HTTPS://sns.us-east-1.amazonaws.com/",
            " https://sns.us-east-1.amazonaws.com/",
            "https://sns.us-east-1.amazonaws.com\t/",
            "",
        ] {
            assert_eq!(host_of_certificate(&format!("{base}{NAME}")), None, "{base}");
        }
        for name in [
            "SimpleNotificationService-03c7c0ace395d80182db07ae2c30f034.pem?x",
            "SimpleNotificationService-03c7c0ace395d80182db07ae2c30f03.pem",
            "SimpleNotificationService-03c7c0ace395d80182db07ae2c30f03/.pem",
            "other.pem",
            "",
        ] {
            assert_eq!(host_of_certificate(&format!("https://sns.us-east-1.amazonaws.com/{name}")), None, "{name}");
        }
    }

    #[test]
    fn a_subscription_is_confirmed_at_sns_alone() {
        let right = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:a&Token=2336";
        assert!(confirms(right));
        for wrong in [
            right.replace("us-east-1.amazonaws.com", "us-east-1.amazonaws.com.evil.example"),
            right.replace("https", "http"),
            right.replace("ConfirmSubscription", "Unsubscribe"),
            right.replace("ConfirmSubscription", "ConfirmSubscriptionX"),
            right.replace("/?", "/x?"),
            right.replace("/?", "?"),
            format!("{right}#x"),
            format!("{right} "),
            "https://169.254.169.254/?Action=ConfirmSubscription".to_owned(),
        ] {
            assert!(!confirms(&wrong), "{wrong}");
        }
    }

    #[test]
    fn topics_are_whole_arns() {
        assert!(is_topic("arn:aws:sns:us-east-1:111122223333:security-findings"));
        assert!(is_topic("arn:aws-us-gov:sns:us-gov-west-1:111122223333:x.fifo"));
        for wrong in
            ["", "security-findings", "arn:aws:sns:us-east-1:111122223333:*", "arn:aws:sqs:us-east-1:111122223333:x"]
        {
            assert!(!is_topic(wrong), "{wrong}");
        }
    }
}
