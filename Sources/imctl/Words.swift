// The API's words as values on the command line.

public import ArgumentParser
public import LocalAPI

/// One of a few words. The parser has lists of them of its own, for all kinds of values, which take it longer.
public protocol Word: ExpressibleByArgument, CaseIterable, RawRepresentable where RawValue == String {}

extension Word {
    /// All of them.
    public static var allValueStrings: [String] { allCases.map { $0.rawValue } }
    /// None: the words speak for themselves.
    public static var allValueDescriptions: [String: String] { [:] }
}

extension AccountAdd.TLS: Word {}
extension MessageSend.Wait: Word {}
extension Policy: Word {}
extension Show: Word {}
extension Trust: Word {}
