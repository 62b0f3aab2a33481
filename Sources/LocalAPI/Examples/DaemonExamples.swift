// Examples: the daemon and its accounts.

extension DaemonStatus {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Empty(),
            Result(
                version: LocalAPI.version, pid: 4711, startedAt: Scene.at(2),
                accounts: [Scene.account(queued: 0)],
                lastEvent: 43))
    }
}

extension DaemonCheck {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Empty(),
            Result(checks: [
                Check(name: "database", ok: true, detail: "whole, with all keys and messages"),
                Check(
                    name: "storage", ok: false, detail: "9 MiB free",
                    hint: "free some space below /home/alice/.local/share/imd"),
            ]))
    }
}

extension AccountAdd {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(jid: Scene.alice, passwordCommand: "pass show xmpp/alice"), Scene.account())
    }
}

extension AccountList {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Empty(), Result(accounts: [Scene.account(queued: 0)]))
    }
}

extension AccountRemove {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(account: Scene.alice),
            Result(device: Scene.aliceDevice, listed: [], keys: []))
    }
}

extension AccountConnect {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(account: Scene.alice), Scene.account(.connecting))
    }
}

extension AccountDisconnect {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(Params(account: Scene.alice), Scene.account(.offline))
    }
}

extension AccountExport {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(path: Scene.backup, passphrase: Scene.passphrase),
            Result(path: Scene.backup, messages: 3, contacts: 1, bytes: 3907))
    }
}

extension AccountInspect {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(path: Scene.backup, passphrase: Scene.passphrase),
            Result(account: Scene.alice, exportedAt: Scene.at(30), passwordCommand: "pass show xmpp/alice"))
    }
}

extension AccountImport {
    /// As the manual shows it.
    public static var example: Example<Self>? {
        Example(
            Params(
                path: Scene.backup, passphrase: Scene.passphrase, passwordCommand: "pass show xmpp/alice"),
            Result(account: Scene.account(.connecting), messages: 3, contacts: 1, decisions: 1))
    }
}

extension RPCDiscover {
    /// As the manual shows it, without most of the answer.
    public static var example: Example<Self>? {
        Example(
            Empty(),
            Result(
                openrpc: "1.3.2", info: ["title": "imd", "version": .string(LocalAPI.version)],
                methods: [["name": "daemon.status", "params": .array([])]], events: [["name": "message"]]))
    }
}
