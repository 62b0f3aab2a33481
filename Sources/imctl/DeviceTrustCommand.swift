// imctl device trust: decisions without a comparison, and files of them.

import ArgumentParser
import LocalAPI

/// `imctl device trust`.
struct DeviceTrustCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trust", abstract: "Decide how far devices are trusted.",
        discussion: "With --import and --export decisions are kept in a file, for version control.")

    @Argument(help: "The contact, user@host.", completion: .contact)
    var jid: String?

    @Argument(
        help: "The device's id or fingerprint; when absent all are listed, and you are asked.",
        completion: .device)
    var device: String?

    @Flag(help: "All devices that are listed now, without asking.")
    var all = false

    @Option(help: ArgumentHelp("verified (default), blind, undecided or distrusted.", valueName: "level"))
    var level: Trust = .verified

    @Option(
        name: .customLong("import"),
        help: ArgumentHelp("Take decisions from a file, or - .", valueName: "file"), completion: .file())
    var importFile: String?

    @Flag(name: .customLong("export"), help: "Print all decisions, in the form that --import reads.")
    var export = false

    @Option(help: .account, completion: .account) var account: String?
    @Flag(help: .json) var json = false

    func run() throws {
        if export {
            guard jid == nil, !all, importFile == nil else { throw alone("--export") }
            return try exportAll()
        }
        if let importFile {
            guard jid == nil, !all else { throw alone("--import") }
            return try importAll(importFile)
        }
        guard let jid else { throw UserError(.usage, "whose devices? name a contact, --import or --export") }
        var params = DeviceTrust.Params(jid: jid, trust: level, account: account)
        if let device {
            guard !all else { throw UserError(.usage, "--all and the device '\(device)' exclude each other") }
        } else if level == .verified || level == .blind {
            params.fingerprints = try seen(jid)
        }
        let result = try Daemon.call(DeviceTrust.self, params.naming(device))
        try DeviceCommand.show(result, DeviceTrust.self, json: json)
    }

    /// The keys to decide about: exactly those that are shown, whatever comes meanwhile.
    private func seen(_ jid: String) throws -> [String] {
        let known = try Daemon.call(DeviceList.self, .init(jid: jid, account: account))
        let listed = known.devices.filter { $0.active && !$0.own && $0.fingerprint != nil }
        guard !listed.isEmpty else {
            throw UserError(
                .noSuchDevice, "no key of a device of \(jid) is known yet",
                hint: "while the account is online: imctl device list \(jid)")
        }
        if !all {
            for device in listed { Output.notice(DeviceCommand.line(device)) }
            try Terminal.confirm(
                "These devices of \(jid) become \(level.rawValue), without a comparison?",
                otherwise: UserError(
                    .usage, "which devices of \(jid)? there is no terminal to ask on",
                    hint: "name one by its fingerprint, or add --all; see: imctl device list \(jid)"))
        }
        return listed.compactMap(\.fingerprint)
    }

    private func alone(_ option: String) -> UserError {
        UserError(.usage, "\(option) goes with no contact, no --all and no other file")
    }

    private func exportAll() throws {
        let result = try Daemon.call(TrustExport.self, .init(account: account))
        if json { return try Output.json(TrustExport.self, result) }
        let file = TrustFile(entries: result.entries, policies: result.policies)
        for line in file.text.split(separator: "\n") { Output.line(Output.safe(String(line))) }
    }

    private func importAll(_ path: String) throws {
        let file = try TrustFile(readText(path), path: path)
        let result = try Daemon.call(
            TrustImport.self,
            .init(entries: file.entries, policies: file.policies, account: account))
        if json { return try Output.json(TrustImport.self, result) }
        Output.line("\(result.changed) changed")
        try Output.flush()
        if result.released > 0 { Output.diagnose("note", "\(result.released) held messages go out now") }
        if result.cancelled > 0 { Output.diagnose("note", "\(result.cancelled) held messages have failed") }
    }
}
