// Addresses as people see them: with a warning where their letters deceive.

import LocalAPI

extension Output {
    /// An address of somebody else; on a terminal marked where it can be taken for another one.
    static func address(_ jid: String) -> String {
        safe(jid) + (isTerminal && Lookalikes.areFound(in: jid) ? " [look-alike letters]" : "")
    }

    /// On standard error, before somebody is let in.
    static func warnOfLookalikes(in jid: String) {
        guard Lookalikes.areFound(in: jid) else { return }
        diagnose("warning", "\(jid) has letters that look like others: it may not be who it seems to be")
    }
}
