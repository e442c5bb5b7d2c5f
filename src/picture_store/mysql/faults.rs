//! What an error of a statement means for the statement and its connection.

use mysql_async::{DriverError, Error, ServerError};

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server rolled the statement back: it may be run again at once.
    Undone,
    /// The connection is gone. Another one may still work.
    Lost,
    /// The server answers, but takes no changes now. Another connection may reach another server.
    ReadOnly,
    /// The server answers, and has no place for a change.
    Full,
    /// The server has no connection left for this program.
    Crowded,
    /// The driver can't go on with this connection, and another one would not help.
    Unusable,
    /// The statement failed, and the connection is fine.
    Failed,
}

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Server(error) => Self::of_server(error),
            Error::Io(_)
            | Error::Driver(DriverError::ConnectionClosed | DriverError::PacketOutOfOrder) => {
                Self::Lost
            }
            Error::Driver(_) | Error::Other(_) | Error::Url(_) => Self::Unusable,
        }
    }

    fn of_server(error: &ServerError) -> Self {
        match error.code {
            // ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_CHECKREAD, ER_QUERY_INTERRUPTED
            1205 | 1213 | 1020 | 1317 => Self::Undone,
            // ER_SERVER_SHUTDOWN, ER_NORMAL_SHUTDOWN, ER_SHUTDOWN_COMPLETE, ER_ABORTING_CONNECTION,
            // ER_NET_*, ER_NEW_ABORTING_CONNECTION, ER_CONNECTION_KILLED,
            // ER_SERVER_OFFLINE_MODE, ER_SESSION_WAS_KILLED, ER_CLIENT_INTERACTION_TIMEOUT
            1053 | 1077 | 1079 | 1152 | 1158..=1161 | 1184 | 1927 | 3032 | 3169 | 4031 => {
                Self::Lost
            }
            // ER_OPTION_PREVENTS_STATEMENT, ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION,
            // ER_READ_ONLY_MODE, ER_SCHEMA_READ_ONLY
            1290 | 1792 | 1836 | 3989 => Self::ReadOnly,
            // EE_WRITE, EE_DISK_FULL, ER_DISK_FULL, ER_ERROR_ON_WRITE, ER_RECORD_FILE_FULL,
            // ER_TEMP_FILE_WRITE_FAILURE
            3 | 20 | 1021 | 1026 | 1114 | 1878 => Self::Full,
            // ER_GET_ERRNO. Error 28 of the system: no space is left.
            1030 if error.message.contains("error 28 ") => Self::Full,
            // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED,
            // ER_HOST_IS_BLOCKED
            1040 | 1203 | 1226 | 1129 => Self::Crowded,
            _ => Self::Failed,
        }
    }
}

/// What an error that passes means to the operator.
pub(super) fn sentence(error: &ServerError) -> Option<&'static str> {
    let text = match (error.code, Fault::of_server(error)) {
        (1205, _) => "another transaction holds a lock on the row for too long",
        (1213, _) => "the statement and another one waited for each other's locks again and again",
        (1020 | 1317, _) => "the server ended the statement",
        (3032, _) => "the server is in offline mode",
        (1053 | 1077 | 1079, _) => "the server is shutting down",
        (_, Fault::Lost) => "the server ended the connection",
        (_, Fault::ReadOnly) => {
            "the server or the database is read-only: set mysql.host to the primary server, or end \
             the read-only mode"
        }
        (_, Fault::Full) => "the server's disk or tablespace is full: make space on it",
        (1129, _) => {
            "the server has blocked this host after many broken connections: run `TRUNCATE TABLE \
             performance_schema.host_cache` (MariaDB: FLUSH HOSTS) there, and raise \
             max_connect_errors"
        }
        (_, Fault::Crowded) => {
            "the server has no connection left: raise its max_connections (or the user's limit), \
             or lower mysql.connections"
        }
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16, message: &str) -> ServerError {
        ServerError {
            code,
            message: message.to_owned(),
            state: "HY000".to_owned(),
        }
    }

    #[test]
    fn faults_of_a_server_are_told_apart() {
        for (code, message, fault, sentence_has) in [
            (1205, "Lock wait timeout", Fault::Undone, "lock"),
            (1213, "Deadlock found", Fault::Undone, "each other"),
            (
                1317,
                "Query execution was interrupted",
                Fault::Undone,
                "ended the statement",
            ),
            (
                1053,
                "Server shutdown in progress",
                Fault::Lost,
                "shutting down",
            ),
            (
                1927,
                "Connection was killed",
                Fault::Lost,
                "ended the connection",
            ),
            (
                4031,
                "disconnected because of inactivity",
                Fault::Lost,
                "ended the connection",
            ),
            (1290, "--super-read-only", Fault::ReadOnly, "read-only"),
            (
                1836,
                "Running in read-only mode",
                Fault::ReadOnly,
                "read-only",
            ),
            (1021, "Disk full", Fault::Full, "full"),
            (1114, "The table 'pictures' is full", Fault::Full, "full"),
            (
                1030,
                "Got error 28 from storage engine",
                Fault::Full,
                "full",
            ),
            (
                1040,
                "Too many connections",
                Fault::Crowded,
                "max_connections",
            ),
            (
                1226,
                "max_user_connections",
                Fault::Crowded,
                "mysql.connections",
            ),
            (
                1129,
                "Host is blocked",
                Fault::Crowded,
                "max_connect_errors",
            ),
        ] {
            let error = server(code, message);
            let text = sentence(&error).unwrap();
            assert!(text.contains(sentence_has), "{code}: {text}");
            assert_eq!(Fault::of(&Error::Server(error)), fault, "{code}");
        }
        for (code, message) in [
            (1030, "Got error 168 from storage engine"),
            (1064, "syntax"),
        ] {
            let error = server(code, message);
            assert_eq!(sentence(&error), None);
            assert_eq!(Fault::of(&Error::Server(error)), Fault::Failed);
        }
    }

    #[test]
    fn a_broken_connection_is_lost() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(Fault::of(&Error::from(reset)), Fault::Lost);
        let closed = Error::Driver(DriverError::ConnectionClosed);
        assert_eq!(Fault::of(&closed), Fault::Lost);
        let too_large = Error::Driver(DriverError::PacketTooLarge);
        assert_eq!(Fault::of(&too_large), Fault::Unusable);
    }
}
