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
  createdAt INTEGER NOT NULL
, archivePositionAt INTEGER) STRICT;

CREATE TABLE preKey (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  id INTEGER NOT NULL,
  privateKey BLOB NOT NULL,
  usedAt INTEGER,
  PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signedPreKey (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  id INTEGER NOT NULL,
  privateKey BLOB NOT NULL,
  signature BLOB NOT NULL,
  createdAt INTEGER NOT NULL,
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
  checksum BLOB NOT NULL, activeOmemo2 INTEGER NOT NULL DEFAULT 0, sendsOmemo2 INTEGER NOT NULL DEFAULT 0, label TEXT, labelSignature BLOB, healedAt INTEGER,
  PRIMARY KEY (account, jid, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  jid TEXT NOT NULL,
  device INTEGER NOT NULL,
  version TEXT NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (account, jid, device, version)
) STRICT;

CREATE TABLE chat (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  jid TEXT NOT NULL,
  encryptedAt INTEGER, optedOutAt INTEGER, optOutReason TEXT, readThrough INTEGER,
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
, markable INTEGER NOT NULL DEFAULT 0, checksum BLOB, downgraded INTEGER NOT NULL DEFAULT 0, excluded TEXT, reactsTo TEXT) STRICT;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  message INTEGER REFERENCES message ON DELETE CASCADE,
  stanza BLOB NOT NULL,
  createdAt INTEGER NOT NULL
, position INTEGER, checksum BLOB) STRICT;

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

CREATE TABLE eventLog (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  droppedThrough INTEGER NOT NULL
) STRICT;

CREATE TABLE sealing (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  origin TEXT NOT NULL,
  salt BLOB,
  operations INTEGER,
  memory INTEGER,
  wrappedKey BLOB NOT NULL,
  swept INTEGER NOT NULL
) STRICT;

CREATE TABLE "deviceList" (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  jid TEXT NOT NULL,
  version TEXT NOT NULL,
  fetchedAt INTEGER NOT NULL, ignored TEXT,
  PRIMARY KEY (account, jid, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE trustDecision (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  jid TEXT NOT NULL,
  curve25519 BLOB NOT NULL,
  trust TEXT NOT NULL,
  source TEXT NOT NULL,
  decidedAt INTEGER NOT NULL,
  checksum BLOB NOT NULL, untold INTEGER NOT NULL DEFAULT 0,
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

CREATE TABLE trustPolicy (
  account INTEGER NOT NULL REFERENCES account ON DELETE CASCADE,
  jid TEXT NOT NULL,
  policy TEXT NOT NULL,
  PRIMARY KEY (account, jid)
) STRICT, WITHOUT ROWID;

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

CREATE INDEX deviceByKey ON device (account, curve25519) WHERE curve25519 IS NOT NULL;

CREATE UNIQUE INDEX messageByStanzaID ON message (account, stanzaID) WHERE stanzaID IS NOT NULL;

CREATE UNIQUE INDEX messageByClientID ON message (account, clientID) WHERE clientID IS NOT NULL;

CREATE INDEX messageByChat ON message (account, chat);

CREATE INDEX messageSent ON message (account, chat) WHERE direction = 'out';

CREATE INDEX messageByMessageID ON message (account, messageID);

CREATE INDEX messageAwaitingKeys ON message (account, chat) WHERE awaitsKeys AND state = 'queued';

CREATE INDEX outboxByMessage ON outbox (message);

CREATE INDEX messageUndisplayed ON message (account, chat)
  WHERE direction = 'out' AND state IN ('sent', 'server', 'delivered');

CREATE INDEX messageFailed ON message (account) WHERE state = 'failed';

CREATE INDEX outboxByPosition ON outbox (account, position);

CREATE INDEX pendingTrustBySender ON pendingTrust (account, senderKey);

CREATE INDEX messageHeld ON message (account, chat) WHERE state = 'held';

CREATE INDEX deadLetterByAccount ON deadLetter (account);

CREATE INDEX deadLetterByRetry ON deadLetter (consumer, retryAt) WHERE retryAt IS NOT NULL;
