// XMPP addresses, enforced and normalised when made (RFC 7622).

import Foundation

/// Why a string is not an XMPP address.
public enum JIDError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The three parts of an address.
    public enum Part: String, Sendable {
        /// Before the `@`.
        case localpart
        /// The server or service.
        case domainpart
        /// After the `/`.
        case resourcepart
    }

    /// The part is there but holds nothing.
    case empty(Part)
    /// The part takes more than 1023 bytes.
    case tooLong(Part)
    /// The part holds a character that RFC 7622 forbids there.
    case forbidden(Unicode.Scalar, Part)
    /// Right-to-left and left-to-right letters are mixed (RFC 5893 §2).
    case mixedDirections(Part)
    /// Neither a host name nor an IP address.
    case notADomain

    /// A sentence for people; names the character by its number, so it is safe to print.
    public var description: String {
        switch self {
        case .empty(let part): "the \(part.rawValue) is empty"
        case .tooLong(let part): "the \(part.rawValue) is longer than 1023 bytes"
        case .forbidden(let scalar, let part):
            "the \(part.rawValue) contains the forbidden character U+"
                + String(repeating: "0", count: max(0, 4 - String(scalar.value, radix: 16).count))
                + String(scalar.value, radix: 16, uppercase: true)
        case .mixedDirections(let part): "the \(part.rawValue) mixes writing directions"
        case .notADomain: "the domainpart is neither a host name nor an IP address"
        }
    }
}

/// An XMPP address: `localpart@domainpart/resourcepart`, normalised, so that equal addresses compare equal.
public struct JID: Hashable, Sendable, CustomStringConvertible {
    /// The most bytes each part may take (RFC 7622 §3.1).
    public static let maxPartLength = 1023

    /// The whole address in its normal form.
    public let description: String
    private let localLength: UInt16  // bytes before the `@`; 0 for none
    private let bareLength: UInt16  // bytes before the `/`

    /// Parses, checks and normalises an address.
    /// - Throws: what is wrong with it.
    public init(_ string: String) throws(JIDError) {
        if let fast = Self.ascii(string) {
            self = fast
            return
        }
        let bareEnd = string.utf8.firstIndex(of: UInt8(ascii: "/"))
        let bare = string[..<(bareEnd ?? string.endIndex)]
        let resource = bareEnd.map { String(string[string.utf8.index(after: $0)...]) }
        guard let at = bare.utf8.firstIndex(of: UInt8(ascii: "@")) else {
            try self.init(localpart: nil, domainpart: String(bare), resourcepart: resource)
            return
        }
        try self.init(
            localpart: String(bare[..<at]), domainpart: String(bare[bare.utf8.index(after: at)...]),
            resourcepart: resource)
    }

    /// Checks and normalises the parts and joins them; nil leaves a part out.
    public init(
        localpart: String?, domainpart: String, resourcepart: String?
    ) throws(JIDError) {
        let domain = try JIDPreparation.domainpart(domainpart)
        var whole = ""
        if let localpart {
            whole = try JIDPreparation.localpart(localpart)
        }
        localLength = UInt16(whole.utf8.count)
        if localpart != nil { whole += "@" }
        whole += domain
        bareLength = UInt16(whole.utf8.count)
        if let resourcepart {
            whole += "/"
            whole += try JIDPreparation.resourcepart(resourcepart)
        }
        description = whole
    }

    private init(checked description: String, localLength: Int, bareLength: Int) {
        self.description = description
        self.localLength = UInt16(localLength)
        self.bareLength = UInt16(bareLength)
    }

    /// What is before the `@`, nil for a server's own address.
    public var localpart: String? {
        localLength == 0 ? nil : String(description.utf8.prefix(Int(localLength)))
    }

    /// The server: a host name in lower case, or an IP address (IPv6 in brackets).
    public var domainpart: String {
        let start = localLength == 0 ? 0 : Int(localLength) + 1
        return String(description.utf8.prefix(Int(bareLength)).dropFirst(start)) ?? ""
    }

    /// What is after the `/`, nil in a bare address.
    public var resourcepart: String? {
        isBare ? nil : String(description.utf8.dropFirst(Int(bareLength) + 1))
    }

    /// Whether there is no resourcepart.
    public var isBare: Bool { Int(bareLength) == description.utf8.count }

    /// The address without resourcepart.
    public var bare: JID {
        if isBare { return self }
        let bare = String(description.utf8.prefix(Int(bareLength))) ?? ""
        return JID(checked: bare, localLength: Int(localLength), bareLength: Int(bareLength))
    }

    /// The server's own address.
    public var domain: JID {
        let domain = domainpart
        return JID(checked: domain, localLength: 0, bareLength: domain.utf8.count)
    }

    /// Equal in normal form.
    public static func == (a: JID, b: JID) -> Bool { a.description == b.description }

    /// Feeds the normal form.
    public func hash(into hasher: inout Hasher) { hasher.combine(description) }
}

// MARK: Plain addresses

extension JID {
    /// The address if it is ASCII and correct; nil sends it to the full rules, which know the error.
    private static func ascii(_ string: String) -> JID? {
        var string = string
        var localLength = 0
        var bareLength = -1
        var domainStart = 0
        var isLower = true
        let isPlain = string.withUTF8 { utf8 in
            for index in utf8.indices {
                let byte = utf8[index]
                guard byte >= 0x20 && byte < 0x7F else { return false }
                if bareLength >= 0 { continue }
                if byte == UInt8(ascii: "/") {
                    bareLength = index
                } else if byte == UInt8(ascii: "@") {
                    guard domainStart == 0 && index > 0 else { return false }
                    localLength = index
                    domainStart = index + 1
                } else if byte >= 0x41 && byte <= 0x5A {
                    isLower = false
                }
            }
            let end = bareLength < 0 ? utf8.count : bareLength
            guard bareLength < 0 || (1...maxPartLength).contains(utf8.count - end - 1) else { return false }
            bareLength = end
            guard localLength <= maxPartLength else { return false }
            return JIDPreparation.isPlainLocalpart(utf8[0..<localLength])
                && JIDPreparation.isPlainDomain(utf8[domainStart..<end])
        }
        guard isPlain else { return nil }
        if !isLower {
            string = string.utf8.prefix(bareLength).asciiLowercased() + string.suffixUTF8(from: bareLength)
        }
        return JID(checked: string, localLength: localLength, bareLength: bareLength)
    }
}

extension JID: Codable {
    /// From a single string.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do {
            try self.init(try container.decode(String.self))
        } catch let error as JIDError {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: error.description)
        }
    }

    /// As a single string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension JID: Comparable {
    /// The order of the normal forms, for stable listings.
    public static func < (a: JID, b: JID) -> Bool { a.description < b.description }
}

extension Sequence<UInt8> {
    func asciiLowercased() -> String {
        String(decoding: map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }, as: UTF8.self)
    }
}

extension String {
    fileprivate func suffixUTF8(from offset: Int) -> String {
        String(decoding: utf8.dropFirst(offset), as: UTF8.self)
    }
}
