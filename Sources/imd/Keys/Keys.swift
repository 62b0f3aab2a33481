// The key that the database's own is wrapped with: by configuration from one of four places.
import Foundation
import IMCrypto
import LocalAPI
import Store

struct Keys {
    let paths: Paths

    /// The wrapping key of a database, or for one that has none a new one.
    ///
    /// - Parameter configured: where it should come from; nil to take it from where it does.
    func unlock(_ known: KeyWrapping?, configured: KeyOrigin?) throws(UserError) -> (KeyWrapping, SecretBytes)
    {
        guard let known else { return try make(configured ?? .file) }
        if let configured, configured != known.origin {
            throw UserError(
                .configuration,
                "the database is sealed with a key from \(known.origin.rawValue), "
                    + "config.toml says \(configured.rawValue)",
                hint: "change the key with: imd --change-key \(configured.rawValue)")
        }
        return (known, try read(known))
    }

    private func read(_ wrapping: KeyWrapping) throws(UserError) -> SecretBytes {
        switch wrapping.origin {
        case .file: return try KeyFile(path: paths.key).read()
        case .secretService: return try SecretService(paths.database).read()
        case .credential: return try Credential(paths.credentials).read()
        case .passphrase:
            let passphrase = try Passphrase.ask("Passphrase for imd: ")
            return try Passphrase.key(passphrase, wrapping.parameters)
        }
    }

    /// A key to wrap with from now on. One that is there is taken: an earlier attempt may have made it.
    func make(_ origin: KeyOrigin) throws(UserError) -> (KeyWrapping, SecretBytes) {
        var random = SystemRandomNumberGenerator()
        switch origin {
        case .file:
            let file = KeyFile(path: paths.key)
            return (KeyWrapping(origin: origin), try file.exists ? file.read() : file.make())
        case .secretService:
            let service = SecretService(paths.database)
            return (KeyWrapping(origin: origin), try service.make())
        case .credential: return (KeyWrapping(origin: origin), try Credential(paths.credentials).read())
        case .passphrase:
            let passphrase = try Passphrase.askTwice()
            let parameters = PassphraseKey.Parameters.moderate(using: &random)
            return (
                KeyWrapping(origin: origin, parameters: parameters),
                try Passphrase.key(passphrase, parameters)
            )
        }
    }
}

extension SecretBytes {
    static func newKey() -> SecretBytes {
        var random = SystemRandomNumberGenerator()
        return .random(count: Seal.keyCount, using: &random)
    }
}
