// The schema's whole history, oldest first.
import GRDB

/// Shipped migrations are frozen: mend a mistake with a new one. The schema number is how many were applied.
enum Migrations {
    struct Migration {
        var name: String
        var sql: String
        /// What SQL cannot do, after it.
        var code: (@Sendable (Database, WrappedKey) throws -> Void)?
    }

    /// "imd1" in ASCII, in the file's header: `file` and imd tell it from other programs' databases.
    static let applicationID = 0x696d_6431

    static let all = [
        Migration(name: "0001 accounts, keys, messages, events", sql: accountsToEvents),
        Migration(name: "0002 resumption, archive, retention", sql: resumptionToRetention),
        Migration(name: "0003 versions, trust, sealing", sql: versionsToSealing, code: SealingMigration.run),
        Migration(name: "0004 what waits for later", sql: exclusionsToUnaddressed),
        Migration(name: "0005 dead letters", sql: deadLetters),
        Migration(name: "0006 what was read", sql: readThrough),
        Migration(name: "0007 reactions", sql: reactions),
    ]

    /// - Parameter key: of the database; nil to look at one only.
    static func migrator(_ key: WrappedKey? = nil) -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        for (index, migration) in all.enumerated() {
            migrator.registerMigration(migration.name) { database in
                try database.execute(sql: migration.sql)
                if let code = migration.code {
                    guard let key else { throw StoreError.locked("no key to seal it with") }
                    try code(database, key)
                }
                try database.execute(sql: "PRAGMA user_version = \(index + 1)")
            }
        }
        return migrator
    }

    /// A database as an earlier imd left it: what tests migrate.
    /// - Parameters:
    ///   - count: how many migrations it had.
    ///   - rows: SQL that fills it.
    static func makeDatabase(at path: String, schema count: Int, rows: String) throws {
        let queue = try DatabaseQueue(path: path)
        try migrator().migrate(queue, upTo: all[count - 1].name)
        try queue.write { try $0.execute(sql: rows) }
        try queue.close()
    }
}

extension Migrations {
    /// Times are Unix milliseconds UTC; `jid` and `chat` bare JIDs; `checksum` see Checksum.swift.
    fileprivate static let accountsToEvents = """
        PRAGMA application_id = 1768776753;

        CREATE TABLE account (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          jid TEXT NOT NULL UNIQUE,
          password BLOB,
          passwordCommand TEXT,
          host TEXT,
          port INTEGER,
          tls TEXT NOT NULL,
          caFile TEXT,
          allowPlain INTEGER NOT NULL,
          resource TEXT,
          enabled INTEGER NOT NULL,
          pinnedMechanism TEXT,
          rosterVersion TEXT,
          archivePosition TEXT,
          device INTEGER NOT NULL,
          identitySeed BLOB NOT NULL,
          nextPreKeyID INTEGER NOT NULL,
          checksum BLOB NOT NULL,
          createdAt INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE preKey (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          id INTEGER NOT NULL,
          privateKey BLOB NOT NULL,
          checksum BLOB NOT NULL,
          PRIMARY KEY (account, id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE signedPreKey (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          id INTEGER NOT NULL,
          privateKey BLOB NOT NULL,
          signature BLOB NOT NULL,
          createdAt INTEGER NOT NULL,
          checksum BLOB NOT NULL,
          PRIMARY KEY (account, id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE device (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          device INTEGER NOT NULL,
          identityKey BLOB,
          curve25519 BLOB,
          trust TEXT NOT NULL,
          active INTEGER NOT NULL,
          firstSeenAt INTEGER NOT NULL,
          lastReceivedAt INTEGER,
          checksum BLOB NOT NULL,
          PRIMARY KEY (account, jid, device)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX deviceByKey ON device (account, curve25519) WHERE curve25519 IS NOT NULL;

        CREATE TABLE deviceList (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          fetchedAt INTEGER NOT NULL,
          PRIMARY KEY (account, jid)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE session (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          device INTEGER NOT NULL,
          version TEXT NOT NULL,
          record BLOB NOT NULL,
          checksum BLOB NOT NULL,
          PRIMARY KEY (account, jid, device, version)
        ) STRICT;

        CREATE TABLE chat (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          encryptedAt INTEGER,
          PRIMARY KEY (account, jid)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE message (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          messageID TEXT NOT NULL,
          chat TEXT NOT NULL,
          sender TEXT NOT NULL,
          direction TEXT NOT NULL,
          body TEXT NOT NULL,
          protocol TEXT,
          device INTEGER,
          fingerprint TEXT,
          trust TEXT,
          plaintext INTEGER NOT NULL,
          state TEXT NOT NULL,
          reason TEXT,
          awaitsKeys INTEGER NOT NULL,
          clientID TEXT,
          stanzaID TEXT,
          sentAt INTEGER NOT NULL,
          storedAt INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX messageByStanzaID ON message (account, stanzaID) WHERE stanzaID IS NOT NULL;
        CREATE UNIQUE INDEX messageByClientID ON message (account, clientID) WHERE clientID IS NOT NULL;
        CREATE INDEX messageByChat ON message (account, chat);
        CREATE INDEX messageSent ON message (account, chat) WHERE direction = 'out';
        CREATE INDEX messageByMessageID ON message (account, messageID);
        CREATE INDEX messageAwaitingKeys ON message (account, chat) WHERE awaitsKeys AND state = 'queued';

        CREATE TABLE outbox (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          message INTEGER REFERENCES message ON DELETE CASCADE,
          stanza BLOB NOT NULL,
          createdAt INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX outboxByMessage ON outbox (message);

        CREATE TABLE event (
          number INTEGER PRIMARY KEY AUTOINCREMENT,
          account INTEGER REFERENCES account ON DELETE CASCADE,
          type TEXT NOT NULL,
          chat TEXT,
          message INTEGER,
          detail TEXT,
          at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE consumer (
          name TEXT PRIMARY KEY NOT NULL,
          acknowledged INTEGER NOT NULL,
          filter TEXT,
          createdAt INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE rosterItem (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          name TEXT,
          subscription TEXT NOT NULL,
          ask TEXT,
          approved INTEGER NOT NULL,
          groups TEXT NOT NULL,
          PRIMARY KEY (account, jid)
        ) STRICT, WITHOUT ROWID;
        """
}

extension Migrations {
    /// Rows of 0001 have no checksum where a table gets one here. An outbox row with a position went out on
    /// the present stream; `eventLog` has one row.
    fileprivate static let resumptionToRetention = """
        CREATE TABLE resumption (
          account INTEGER PRIMARY KEY REFERENCES account ON DELETE CASCADE,
          streamID TEXT NOT NULL,
          jid TEXT NOT NULL,
          location TEXT,
          maxSeconds INTEGER,
          handled INTEGER NOT NULL,
          acknowledged INTEGER NOT NULL,
          caughtUp INTEGER NOT NULL,
          checksum BLOB NOT NULL
        ) STRICT;

        CREATE TABLE presence (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          resource TEXT NOT NULL,
          show TEXT NOT NULL,
          status TEXT,
          priority INTEGER NOT NULL,
          PRIMARY KEY (account, jid, resource)
        ) STRICT, WITHOUT ROWID;

        ALTER TABLE account ADD COLUMN archivePositionAt INTEGER;
        ALTER TABLE preKey ADD COLUMN usedAt INTEGER;

        ALTER TABLE message ADD COLUMN markable INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE message ADD COLUMN checksum BLOB;
        CREATE INDEX messageUndisplayed ON message (account, chat)
          WHERE direction = 'out' AND state IN ('sent', 'server', 'delivered');
        CREATE INDEX messageFailed ON message (account) WHERE state = 'failed';

        ALTER TABLE outbox ADD COLUMN position INTEGER;
        ALTER TABLE outbox ADD COLUMN checksum BLOB;
        CREATE INDEX outboxByPosition ON outbox (account, position);

        CREATE TABLE eventLog (
          id INTEGER PRIMARY KEY CHECK (id = 1),
          droppedThrough INTEGER NOT NULL
        ) STRICT;
        INSERT INTO eventLog (id, droppedThrough) VALUES (1, 0);
        """
}

extension Migrations {
    /// A device is on the list of a version or not; `label` is signed with `labelSignature`. A decision about a key
    /// outlives the device; `trustPolicy` has the account's own under an empty `jid`.
    fileprivate static let versionsToSealing = """
        CREATE TABLE sealing (
          id INTEGER PRIMARY KEY CHECK (id = 1),
          origin TEXT NOT NULL,
          salt BLOB,
          operations INTEGER,
          memory INTEGER,
          wrappedKey BLOB NOT NULL,
          swept INTEGER NOT NULL
        ) STRICT;

        ALTER TABLE device ADD COLUMN activeOmemo2 INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE device ADD COLUMN sendsOmemo2 INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE device ADD COLUMN label TEXT;
        ALTER TABLE device ADD COLUMN labelSignature BLOB;
        ALTER TABLE device ADD COLUMN healedAt INTEGER;

        CREATE TABLE versionList (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          version TEXT NOT NULL,
          fetchedAt INTEGER NOT NULL,
          PRIMARY KEY (account, jid, version)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO versionList SELECT account, jid, 'eu.siacs.conversations.axolotl', fetchedAt FROM deviceList;
        DROP TABLE deviceList;
        ALTER TABLE versionList RENAME TO deviceList;

        CREATE TABLE trustDecision (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          curve25519 BLOB NOT NULL,
          trust TEXT NOT NULL,
          source TEXT NOT NULL,
          decidedAt INTEGER NOT NULL,
          checksum BLOB NOT NULL,
          PRIMARY KEY (account, jid, curve25519)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE pendingTrust (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          senderKey BLOB NOT NULL,
          owner TEXT NOT NULL,
          key BLOB NOT NULL,
          trust TEXT NOT NULL,
          at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX pendingTrustBySender ON pendingTrust (account, senderKey);

        CREATE TABLE trustPolicy (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          policy TEXT NOT NULL,
          PRIMARY KEY (account, jid)
        ) STRICT, WITHOUT ROWID;

        ALTER TABLE chat ADD COLUMN optedOutAt INTEGER;
        ALTER TABLE chat ADD COLUMN optOutReason TEXT;

        ALTER TABLE message ADD COLUMN downgraded INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX messageHeld ON message (account, chat) WHERE state = 'held';
        """
}

extension Migrations {
    /// `excluded` and `ignored` are JSON arrays; `untold` decisions are still to go into trust messages; `detail` is that
    /// of the event to come.
    fileprivate static let exclusionsToUnaddressed = """
        ALTER TABLE message ADD COLUMN excluded TEXT;
        ALTER TABLE deviceList ADD COLUMN ignored TEXT;
        ALTER TABLE trustDecision ADD COLUMN untold INTEGER NOT NULL DEFAULT 0;

        CREATE TABLE brokenSession (
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          jid TEXT NOT NULL,
          device INTEGER NOT NULL,
          version TEXT NOT NULL,
          PRIMARY KEY (account, jid, device, version)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE unaddressed (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
          chat TEXT NOT NULL,
          direction TEXT NOT NULL,
          messageID TEXT,
          detail TEXT NOT NULL,
          at INTEGER NOT NULL
        ) STRICT;
        """
}

extension Migrations {
    /// `event` is the event as its consumer got it, a JSON object: the event itself may be dropped. A row with `retryAt`
    /// will be tried again by itself.
    fileprivate static let deadLetters = """
        CREATE TABLE deadLetter (
          consumer TEXT NOT NULL REFERENCES consumer ON DELETE CASCADE,
          number INTEGER NOT NULL,
          account INTEGER REFERENCES account ON DELETE CASCADE,
          attempts INTEGER NOT NULL,
          reason TEXT NOT NULL,
          at INTEGER NOT NULL,
          retryAt INTEGER,
          event TEXT NOT NULL,
          PRIMARY KEY (consumer, number)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX deadLetterByAccount ON deadLetter (account);
        CREATE INDEX deadLetterByRetry ON deadLetter (consumer, retryAt) WHERE retryAt IS NOT NULL;
        """

    /// The row of the last message of the chat that somebody has read; what was there before counts as read.
    fileprivate static let readThrough = """
        ALTER TABLE chat ADD COLUMN readThrough INTEGER;
        INSERT INTO chat (account, jid, readThrough)
          SELECT account, chat, max(id) FROM message WHERE true GROUP BY account, chat
          ON CONFLICT DO UPDATE SET readThrough = excluded.readThrough;
        """

    /// The id, as on the wire, of the message that a message is a reaction to; its text is then the emojis.
    fileprivate static let reactions = """
        ALTER TABLE message ADD COLUMN reactsTo TEXT;
        """
}
