// Node-RED as the bench runs it: on loopback, one flow file, and a local SQLite store for the flow.
const { DatabaseSync } = require("node:sqlite");

const store = new DatabaseSync(process.env.PEER_STORE);
store.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS customer (id TEXT PRIMARY KEY, seen TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS entry (id TEXT PRIMARY KEY, customer TEXT NOT NULL, told TEXT NOT NULL);
`);

module.exports = {
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.PEER_PORT),
  userDir: process.env.PEER_FOLDER,
  flowFile: process.env.PEER_FLOW,
  httpAdminRoot: false,
  credentialSecret: false,
  editorTheme: { projects: { enabled: false } },
  telemetry: { enabled: false, updateNotification: false },
  logging: { console: { level: "warn", metrics: false, audit: false } },
  functionGlobalContext: {
    crypto: require("node:crypto"),
    secret: process.env.PEER_SECRET,
    customer: store.prepare("INSERT INTO customer VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen"),
    entry: store.prepare("INSERT INTO entry VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET told = excluded.told"),
  },
};
