// A backup as a file: a header, and then JSON lines in sealed pieces. docs/BACKUP.md describes it for others.
import Foundation
import Glibc
import IMCrypto
import LocalAPI

enum BackupFile {
    static let magic = Bytes("imd backup 1\n".utf8)
    /// How much of the content is sealed at once, in bytes.
    static let pieceCount = 65_536

    static func encode(_ parameters: PassphraseKey.Parameters) -> Bytes {
        parameters.salt + littleEndian(parameters.operations) + littleEndian(UInt64(parameters.memory))
    }

    static func decode(parameters bytes: Bytes) -> PassphraseKey.Parameters? {
        guard bytes.count == 32 else { return nil }
        let parameters = PassphraseKey.Parameters(
            salt: Bytes(bytes[..<16]), operations: number(bytes[16..<24]),
            memory: Int(clamping: number(bytes[24...])))
        return parameters.isAcceptable ? parameters : nil
    }

    static func littleEndian<T: FixedWidthInteger>(_ number: T) -> Bytes {
        withUnsafeBytes(of: number.littleEndian) { Bytes($0) }
    }

    static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// An open file, closed with the last use of it; a draft is deleted unless it got its name.
private final class OpenFile {
    let descriptor: Int32
    var draft: String?

    init(_ path: String, _ flags: Int32, draft: Bool = false) {
        descriptor = open(path, flags | O_CLOEXEC, 0o600)
        self.draft = draft && descriptor >= 0 ? path : nil
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if let draft { unlink(draft) }
    }
}

/// Writes beside the target and gives the file its name when it is complete: never over another one.
struct BackupWriter {
    private let path: String
    private let file: OpenFile
    private let stream: SealedStreamWriter
    private var piece = Bytes()
    private(set) var size = 0

    init(path: String, passphrase: SecretBytes) throws(UserError) {
        var random = SystemRandomNumberGenerator()
        var status = stat()
        guard lstat(path, &status) != 0 else {
            throw UserError(.conflict, "\(path) exists already", hint: "name another file")
        }
        let parameters = PassphraseKey.Parameters.moderate(using: &random)
        let key = try Passphrase.key(passphrase, parameters)
        let draft = "\(path).\(UInt32.random(in: 0 ... .max, using: &random)).part"
        file = OpenFile(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, draft: true)
        guard file.descriptor >= 0 else { throw Self.failure(path) }
        self.path = path
        stream = SealedStreamWriter(key: key)
        piece.reserveCapacity(BackupFile.pieceCount)
        try write(BackupFile.magic + BackupFile.encode(parameters) + stream.header)
    }

    /// Adds a line, without its end.
    mutating func append(line: some Collection<UInt8>) throws(UserError) {
        piece += line
        piece.append(0x0a)
        while piece.count >= BackupFile.pieceCount {
            try push(Bytes(piece.prefix(BackupFile.pieceCount)), isFinal: false)
            piece.removeFirst(BackupFile.pieceCount)
        }
    }

    /// - Parameter ways: how the file may get its name.
    mutating func finish(by ways: [Publication] = Publication.allCases) throws(UserError) {
        try push(piece, isFinal: true)
        guard fsync(file.descriptor) == 0, let draft = file.draft,
            Publication.publish(draft, as: path, by: ways)
        else { throw Self.failure(path) }
        file.draft = nil
        let folder = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    private mutating func push(_ piece: Bytes, isFinal: Bool) throws(UserError) {
        let sealed = stream.push(piece, isFinal: isFinal)
        try write(BackupFile.littleEndian(UInt32(sealed.count)) + sealed)
    }

    private mutating func write(_ bytes: Bytes) throws(UserError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file.descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(path) }
            rest = rest.dropFirst(count)
        }
        size += bytes.count
    }

    private static func failure(_ path: String) -> UserError {
        let code: ErrorCode = errno == ENOSPC || errno == EDQUOT ? .diskFull : .storage
        let hint = errno == EEXIST ? "name another file" : "check the folder and the disk"
        return UserError(
            errno == EEXIST ? .conflict : code, "cannot write \(path): \(String(cString: strerror(errno)))",
            hint: hint)
    }
}

/// Reads what `BackupWriter` wrote, line by line.
struct BackupReader {
    private let path: String
    private let file: OpenFile
    private let stream: SealedStreamReader
    private var pending = Bytes()
    private var start = 0
    private var isFinal = false

    /// - Throws: `.unreadableFile`, `.badText` for another file, `.badPassphrase`.
    init(path: String, passphrase: SecretBytes) throws(UserError) {
        let file = OpenFile(path, O_RDONLY)
        guard file.descriptor >= 0 else {
            throw UserError(
                .unreadableFile, "cannot read \(path): \(String(cString: strerror(errno)))",
                hint: "check path and mode")
        }
        let magic = BackupFile.magic.count
        let head = try Self.read(file, magic + 32 + 24, path)
        guard head.starts(with: BackupFile.magic),
            let parameters = BackupFile.decode(parameters: Bytes(head[magic..<magic + 32]))
        else { throw UserError(.badText, "\(path) is not a backup of imd", hint: nil) }
        let key = try Passphrase.key(passphrase, parameters)
        do {
            stream = try SealedStreamReader(header: Bytes(head[(magic + 32)...]), key: key)
        } catch {
            throw Self.damaged(path)
        }
        self.path = path
        self.file = file
        do throws(UserError) {
            try pull()
        } catch {
            throw UserError(
                .badPassphrase, "the passphrase does not open \(path)",
                hint: "or the file is damaged: try the passphrase again")
        }
    }

    /// The next line without its end; nil behind the last.
    mutating func line() throws(UserError) -> Bytes? {
        while true {
            if let end = pending[start...].firstIndex(of: 0x0a) {
                defer { start = end + 1 }
                return Bytes(pending[start..<end])
            }
            if isFinal {
                guard start == pending.count else { throw Self.damaged(path) }
                return nil
            }
            guard pending.count - start <= 4 * maxLineLength else { throw Self.damaged(path) }
            try pull()
        }
    }

    private mutating func pull() throws(UserError) {
        let count = Int(BackupFile.number(try Self.read(file, 4, path)[...]))
        guard count <= BackupFile.pieceCount + SealedStreamWriter.overhead else { throw Self.damaged(path) }
        let sealed = try Self.read(file, count, path)
        do {
            let (piece, isFinal) = try stream.pull(sealed)
            pending.removeFirst(start)
            start = 0
            pending += piece
            self.isFinal = isFinal
        } catch {
            throw Self.damaged(path)
        }
    }

    private static func read(_ file: OpenFile, _ count: Int, _ path: String) throws(UserError) -> Bytes {
        var bytes = Bytes(repeating: 0, count: count)
        var have = 0
        while have < count {
            let received = bytes.withUnsafeMutableBytes {
                Glibc.read(file.descriptor, $0.baseAddress?.advanced(by: have), count - have)
            }
            if received < 0, errno == EINTR { continue }
            guard received > 0 else { throw damaged(path) }
            have += received
        }
        return bytes
    }

    static func damaged(_ path: String) -> UserError {
        UserError(
            .badText, "\(path) is damaged or not complete", hint: "nothing was imported; use another copy")
    }
}
