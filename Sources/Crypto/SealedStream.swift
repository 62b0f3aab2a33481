// A long secret in pieces, none of which can be changed, moved or left out: libsodium's secretstream.
import CSodium

/// Seals one piece after the other.
public final class SealedStreamWriter {
    /// How much longer a sealed piece is.
    public static let overhead = 17
    /// What the reader needs first: 24 bytes.
    public let header: Bytes
    private var state: crypto_secretstream_xchacha20poly1305_state

    /// - Parameter key: 32 bytes.
    public init(key: SecretBytes) {
        precondition(key.count == Seal.keyCount, "32 bytes")
        Sodium.start()
        var (state, header) = (crypto_secretstream_xchacha20poly1305_state(), Bytes(repeating: 0, count: 24))
        key.withUnsafeBytes {
            _ = crypto_secretstream_xchacha20poly1305_init_push(&state, &header, $0.start)
        }
        (self.state, self.header) = (state, header)
    }

    deinit {
        sodium_memzero(&state, MemoryLayout.size(ofValue: state))
    }

    /// The next piece, sealed; nothing may follow the final one.
    public func push(_ piece: Bytes, isFinal: Bool) -> Bytes {
        Bytes(unsafeUninitializedCapacity: piece.count + Self.overhead) { out, count in
            _ = crypto_secretstream_xchacha20poly1305_push(
                &state, out.start, nil, piece, UInt64(piece.count), nil, 0,
                isFinal ? UInt8(crypto_secretstream_xchacha20poly1305_tag_final()) : 0)
            count = piece.count + Self.overhead
        }
    }
}

/// Opens what `SealedStreamWriter` sealed, in the same order.
public final class SealedStreamReader {
    private var state: crypto_secretstream_xchacha20poly1305_state

    /// - Parameters:
    ///   - header: the writer's.
    ///   - key: the writer's.
    /// - Throws: `.authenticationFailed` for a header that is none.
    public init(header: Bytes, key: SecretBytes) throws(CryptoError) {
        guard header.count == 24, key.count == Seal.keyCount else { throw .authenticationFailed }
        Sodium.start()
        var state = crypto_secretstream_xchacha20poly1305_state()
        let code = key.withUnsafeBytes {
            crypto_secretstream_xchacha20poly1305_init_pull(&state, header, $0.start)
        }
        guard code == 0 else { throw .authenticationFailed }
        self.state = state
    }

    deinit {
        sodium_memzero(&state, MemoryLayout.size(ofValue: state))
    }

    /// - Returns: the piece, and whether it was the last.
    /// - Throws: `.authenticationFailed` for another key, a changed piece, or one out of its order.
    public func pull(_ sealed: Bytes) throws(CryptoError) -> (piece: Bytes, isFinal: Bool) {
        guard sealed.count >= SealedStreamWriter.overhead else { throw .authenticationFailed }
        var tag: UInt8 = 0
        var isGenuine = false
        let piece = Bytes(unsafeUninitializedCapacity: sealed.count) { out, count in
            isGenuine =
                crypto_secretstream_xchacha20poly1305_pull(
                    &state, out.start, nil, &tag, sealed, UInt64(sealed.count), nil, 0) == 0
            count = isGenuine ? sealed.count - SealedStreamWriter.overhead : 0
        }
        guard isGenuine else { throw .authenticationFailed }
        return (piece, tag == UInt8(crypto_secretstream_xchacha20poly1305_tag_final()))
    }
}
