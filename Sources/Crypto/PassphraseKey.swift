// Keys from what people remember: Argon2id (RFC 9106).
import CSodium

/// Turns a passphrase into a key, slowly.
public enum PassphraseKey {
    /// What has to be kept beside what the key protects.
    public struct Parameters: Equatable, Sendable {
        /// 16 random bytes.
        public var salt: Bytes
        /// How many passes.
        public var operations: UInt64
        /// How much memory they take, in bytes.
        public var memory: Int

        /// From its parts.
        public init(salt: Bytes, operations: UInt64, memory: Int) {
            self.salt = salt
            self.operations = operations
            self.memory = memory
        }

        /// For a new passphrase: 3 passes over 256 MiB, under a second on a small machine.
        public static func moderate(using random: inout some RandomNumberGenerator) -> Parameters {
            Parameters(
                salt: SecretBytes.random(count: 16, using: &random).bytes, operations: 3,
                memory: 256 * 1024 * 1024)
        }

        /// Whether a file that names them may make us do that much work.
        public var isAcceptable: Bool {
            salt.count == 16 && (1...10).contains(operations)
                && (8192...1024 * 1024 * 1024).contains(memory)
        }
    }

    /// - Returns: 32 bytes.
    /// - Throws: `.invalidLength` for parameters that are not acceptable, or where the memory cannot be had.
    public static func derive(
        _ passphrase: SecretBytes, _ parameters: Parameters
    ) throws(CryptoError) -> SecretBytes {
        guard parameters.isAcceptable else { throw .invalidLength("parameters") }
        Sodium.start()
        return try SecretBytes(count: Seal.keyCount) { (out) throws(CryptoError) in
            let code = passphrase.withUnsafeBytes { passphrase in
                crypto_pwhash(
                    out.start, UInt64(Seal.keyCount),
                    passphrase.start.assumingMemoryBound(to: CChar.self), UInt64(passphrase.count),
                    parameters.salt, parameters.operations, parameters.memory,
                    crypto_pwhash_ALG_ARGON2ID13)
            }
            guard code == 0 else { throw .invalidLength("memory") }
        }
    }
}
