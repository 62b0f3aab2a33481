// imctl device: which devices can read, and how far they are trusted.

import ArgumentParser
import LocalAPI

/// `imctl device`.
struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device", abstract: "List the OMEMO devices of a contact or of yourself.",
        subcommands: [List.self])

    /// `imctl device list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List devices with their fingerprints.")
        @Argument(help: "The contact, user@host; yourself when absent.")
        var jid: String?
        @OptionGroup var choice: AccountOption
        @OptionGroup var output: JSONOption

        func run() throws {
            let result = try Daemon.call(DeviceList.self, .init(jid: jid, account: choice.account))
            for device in result.devices {
                if output.json {
                    Output.json(try encoded(device))
                } else {
                    show(device)
                }
            }
        }

        private func encoded(_ device: DeviceList.Device) throws -> JSONValue {
            try JSONValue(encoding: device)
        }

        /// `DEVICE TRUST FINGERPRINT`, then what is out of the ordinary in brackets.
        private func show(_ device: DeviceList.Device) {
            let fingerprint =
                device.fingerprint.map { Output.fingerprint(Output.safe($0)) } ?? "(not fetched yet)"
            var line = "\(device.device) \(device.trust.rawValue) \(fingerprint)"
            if device.own { line += " [this imd]" }
            if !device.active { line += " [not active]" }
            Output.line(line)
        }
    }
}
