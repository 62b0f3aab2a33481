// `[hook.NAME]` of the configuration file.
import LocalAPI
import TOMLKit

extension [String: HookOverrides] {
    /// Reads the table `hook`.
    init(_ table: TOMLTable, _ fail: ConfigFailure) throws(UserError) {
        self.init()
        for name in table.keys {
            guard let hook = table[name]?.table else { throw fail.at(name, "hook takes tables by name") }
            self[name] = try HookOverrides(hook, fail.inside(name))
        }
    }
}

extension HookOverrides {
    fileprivate init(_ table: TOMLTable, _ fail: ConfigFailure) throws(UserError) {
        self.init()
        for key in table.keys {
            do throws(HookSettingsError) {
                if let text = table[key]?.string {
                    try set(key, to: text)
                } else if let number = table[key]?.int {
                    try set(key, to: number)
                } else if let flag = table[key]?.bool {
                    try set(key, to: String(flag))
                } else if key == "types", let words = table[key]?.array {
                    types = try Self.types(words.map { $0.string ?? "" })
                } else {
                    throw HookSettingsError("\(key) has a value of a wrong kind")
                }
            } catch {
                throw fail.at(key, error.text)
            }
        }
    }
}
