// imctl device: which devices can read, how far they are trusted, and what a person decides about them.

import ArgumentParser
import Glibc
import LocalAPI

/// `imctl device`.
struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device", abstract: "List and verify the OMEMO devices of a contact or of yourself.",
        subcommands: [
            List.self, DeviceVerifyCommand.self, DeviceTrustCommand.self, Distrust.self, QR.self, Reset.self,
            Remove.self,
        ])

    /// `imctl device list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List devices with their fingerprints.")
        @Argument(help: "The contact, user@host; yourself when absent.", completion: .contact)
        var jid: String?
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            let result = try Daemon.call(DeviceList.self, .init(jid: jid, account: account))
            for device in result.devices {
                if json {
                    Output.json(try JSONValue(encoding: device))
                } else {
                    DeviceCommand.show(device)
                }
            }
        }
    }

    /// `imctl device distrust`.
    struct Distrust: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "distrust", abstract: "Never send to a device again.")
        @Argument(help: "The contact, user@host.", completion: .contact)
        var jid: String
        @Argument(help: "The device's id or fingerprint; all devices when absent.", completion: .device)
        var device: String?
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            let params = DeviceTrust.Params(jid: jid, trust: .distrusted, account: account)
            let result = try Daemon.call(DeviceTrust.self, params.naming(device))
            try DeviceCommand.show(result, DeviceTrust.self, json: json)
        }
    }

    /// `imctl device qr`.
    struct QR: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "qr", abstract: "Draw a QR code by which others verify your devices.",
            discussion: "Conversations and others scan it from the screen.")
        @Argument(
            help: "Somebody else's verified devices, user@host; yours when absent.", completion: .contact)
        var jid: String?
        @Flag(help: "Print the link in it instead.")
        var uri = false
        @Option(help: .account, completion: .account) var account: String?

        func run() throws {
            let result = try Daemon.call(
                DeviceURI.self, .init(jid: jid, qr: !uri, account: account))
            for line in QRDrawing.lines(result.qr ?? []) where !uri { Output.line(line) }
            Output.line(Output.safe(result.uri))
        }
    }

    /// `imctl device reset`.
    struct Reset: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reset", abstract: "Start new sessions, where messages cannot be read on one side.")
        @Argument(help: "The contact, user@host.", completion: .contact)
        var jid: String
        @Argument(help: "The device's id; all listed devices when absent.", completion: .device)
        var device: UInt32?
        @Flag(help: "Forget their keys too, also one that has changed.")
        var forget = false
        @OptionGroup var consent: ConsentOption
        @Option(help: .account, completion: .account) var account: String?

        func run() throws {
            if forget {
                try consent.confirm("Forget the keys of \(jid) and take what its server gives instead?")
            }
            let result = try Daemon.call(
                DeviceReset.self,
                .init(jid: jid, device: device, forget: forget ? true : nil, account: account))
            for device in result.devices { Output.line("\(device)") }
        }
    }

    /// `imctl device remove`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove",
            abstract: "Take an old device of yours off the list: nobody writes to it any more.")
        @Argument(help: "The device's id.", completion: .device)
        var device: UInt32
        @OptionGroup var consent: ConsentOption
        @Option(help: .account, completion: .account) var account: String?

        func run() throws {
            try consent.confirm("Take device \(device) off your device list?")
            _ = try Daemon.call(DeviceRemove.self, .init(device: device, account: account))
        }
    }

    /// `DEVICE TRUST FINGERPRINT`, then what is out of the ordinary in brackets.
    static func show(_ device: DeviceList.Device) { Output.line(line(device)) }

    static func line(_ device: DeviceList.Device) -> String {
        let fingerprint =
            device.fingerprint.map { Output.fingerprint(Output.safe($0)) } ?? "(not fetched yet)"
        var line = "\(device.device) \(device.trust.rawValue) \(fingerprint)"
        if device.own { line += " [this imd]" }
        if let label = device.label { line += " [\(Output.safe(label))]" }
        if device.versions == [.omemo2] { line += " [omemo:2]" }
        if !device.active { line += " [not active]" }
        if device.active, !device.receives, !device.own { line += " [gets nothing]" }
        return line
    }

    /// What a decision changed, and on standard error what followed from it.
    static func show<M: Method>(
        _ result: TrustResult, _ method: M.Type, json: Bool
    ) throws where M.Result == TrustResult {
        if json {
            try Output.json(method, result)
        } else {
            for device in result.devices { show(device) }
        }
        try Output.flush()
        if result.released > 0 { Output.diagnose("note", "\(result.released) held messages go out now") }
        if result.cancelled > 0 { Output.diagnose("note", "\(result.cancelled) held messages have failed") }
        warn(result.unverified ?? [], of: result.jid)
    }

    /// Who has verified one device may think that no other reads.
    private static func warn(_ devices: [DeviceList.Device], of jid: String) {
        guard !devices.isEmpty else { return }
        for device in devices {
            Output.diagnose("warning", "not verified, and messages to \(jid) go to it: \(line(device))")
        }
        Output.diagnose(
            "hint", "imctl device verify \(jid), or: imctl device distrust \(jid) \(devices[0].device)")
    }
}

extension DeviceTrust.Params {
    /// One device, by its id or its fingerprint.
    func naming(_ device: String?) -> DeviceTrust.Params {
        var params = self
        if let device {
            params.device = UInt32(device)
            params.fingerprint = params.device == nil ? device : nil
        }
        return params
    }
}
