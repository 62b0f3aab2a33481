// imctl contact and imctl presence: who we know, who is there, what they see of us.

import ArgumentParser
import LocalAPI

/// `imctl contact`.
struct ContactCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contact", abstract: "List, add, remove and approve contacts.",
        subcommands: [List.self, Add.self, Remove.self, Approve.self])

    /// `imctl contact list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the contacts and their presence.")
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            let result = try Daemon.call(ContactList.self, .init(account: account))
            for contact in result.contacts { try ContactCommand.show(contact, json: json) }
        }
    }

    /// `imctl contact add`.
    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Add a contact and ask to see its presence.")
        @Argument(help: "The contact, user@host.")
        var jid: String
        @Option(help: "What to call the contact.")
        var name: String?
        @Option(name: .customLong("group"), help: "A group to put it in; may be repeated.")
        var groups: [String] = []
        @Option(help: .account, completion: .account) var account: String?
        @Flag(help: .json) var json = false

        func run() throws {
            Output.warnOfLookalikes(in: jid)
            let params = ContactAdd.Params(
                jid: jid, account: account, name: name, groups: groups.isEmpty ? nil : groups)
            try ContactCommand.show(try Daemon.call(ContactAdd.self, params), json: json)
        }
    }

    /// `imctl contact remove`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "remove", abstract: "Remove a contact; messages stay.")
        @Argument(help: "The contact, user@host.", completion: .contact)
        var jid: String
        @OptionGroup var consent: ConsentOption
        @Option(help: .account, completion: .account) var account: String?

        func run() throws {
            try consent.confirm(
                "Remove \(jid) from the contacts? Neither of you sees the other's presence any more.")
            _ = try Daemon.call(ContactRemove.self, .init(jid: jid, account: account))
        }
    }

    /// `imctl contact approve`.
    struct Approve: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "approve", abstract: "Let somebody see your presence, or refuse.")
        @Argument(help: "Who asked, user@host.", completion: .contact)
        var jid: String
        @Flag(help: "Refuse, also when allowed before.")
        var deny = false
        @Option(help: .account, completion: .account) var account: String?

        func run() throws {
            if !deny { Output.warnOfLookalikes(in: jid) }
            _ = try Daemon.call(
                ContactApprove.self, .init(jid: jid, account: account, deny: deny ? true : nil))
        }
    }

    /// `JID SHOW SUBSCRIPTION "NAME" STATUS`, what is unknown left out.
    static func show(_ contact: Contact, json: Bool) throws {
        if json { return try Output.json(ContactAdd.self, contact) }
        let show = contact.show.style(contact.show.rawValue)
        var line = "\(Style.strong(Output.address(contact.jid))) \(show) \(contact.subscription.rawValue)"
        if contact.ask != nil { line += " asked" }
        if let name = contact.name { line += " (\(Output.safe(name)))" }
        if let status = contact.status { line += ": \(Output.body(status))" }
        Output.line(line)
    }
}

/// `imctl presence`.
struct PresenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "presence", abstract: "Set what contacts see of you.", subcommands: [Set.self])

    /// `imctl presence set`.
    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set",
            abstract: "Show online, chat, away, xa, dnd or offline, with a text if you like.")
        @Argument(help: "online, chat, away, xa, dnd or offline.")
        var show: Show
        @Argument(help: "A text to show with it.")
        var status: String?
        @Option(help: .account, completion: .account) var account: String?

        func run() throws {
            _ = try Daemon.call(PresenceSet.self, .init(show: show, status: status, account: account))
        }
    }
}

extension Show {
    fileprivate var style: Style {
        switch self {
        case .online, .chat: .good
        case .away, .xa: .warning
        case .dnd: .bad
        case .offline: .faint
        }
    }
}
