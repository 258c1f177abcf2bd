//! Why something was refused: a code that clients and metrics read, and a sentence for people.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $sentence:literal;)*) => {
        /// Why a name was not resolved, or a connection not made or ended. The set is closed, so
        /// that it can be a label of a metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code in results, audit lines and metrics.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// One sentence without a final stop, to stand after the host and its port.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

reasons! {
    /// No rule names the host and port.
    NotAllowed = "not_allowed", "no rule allows it";
    /// The name has no valid form.
    InvalidName = "invalid_name", "it is no valid host name";
    /// It resolves only to addresses that are not public.
    PrivateAddress = "private_address", "it resolves to an address that is not public";
    /// It resolves only to addresses of the machine that the server is on.
    OwnAddress = "own_address", "it resolves to an address of the server's own machine";
    /// It resolves only to addresses that the operator denies.
    DeniedAddress = "denied_address", "it resolves to an address that the operator denies";
    /// It resolves only to the metadata service of a cloud.
    MetadataAddress = "metadata_address", "it resolves to the metadata service of a cloud";
    /// The resolver knows no address, or did not answer.
    Unresolved = "unresolved", "the name could not be resolved";
    /// The TLS server name is another one than the connection was allowed for, or is missing.
    NameMismatch = "name_mismatch", "the TLS handshake names another host, or none";
    /// The connection does not begin with a TLS handshake.
    NotTls = "not_tls", "the connection does not begin with a TLS handshake";
    /// The TLS handshake did not come in time.
    HandshakeTimeout = "handshake_timeout", "the TLS handshake did not come in time";
    /// No judged address accepted a connection.
    Unreachable = "unreachable", "no connection to it could be made";
    /// The operator's proxy did not connect to it.
    ProxyRefused = "proxy_refused", "the operator's proxy refused it";
    /// A bound of connections or questions.
    Limit = "limit", "a limit was reached";
    /// As many bytes have passed as the operator lets pass in a day.
    BytesPerDay = "bytes_per_day", "as many bytes have passed today (UTC) as may pass in a day";
    /// A program of the user's listens on the port on all addresses.
    PortInUse = "port_in_use", "a program in the sandbox listens on the port on all addresses";
    /// The server cannot write its audit.
    AuditUnavailable = "audit_unavailable", "the server cannot record it";
    /// The rule went while the connection ran.
    RulesChanged = "rules_changed", "the rule for it was removed";
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_words_and_sentences_have_no_stop() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(
                reason
                    .as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            assert!(!reason.sentence().ends_with('.'), "{reason}");
        }
    }
}
