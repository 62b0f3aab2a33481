// A QR code in a terminal: two modules to a character, dark on light whatever the terminal's colours are.

/// Draws rows of modules.
enum QRDrawing {
    /// ISO/IEC 18004 §5.3.8: so many light modules all around.
    static let quietZone = 4

    /// - Parameter rows: of `0` and `1`, 1 is dark, all of the same length.
    /// - Returns: lines with the colours set and reset in each.
    static func lines(_ rows: [String]) -> [String] {
        let width = (rows.first?.utf8.count ?? 0) + 2 * quietZone
        let light = [Bool](repeating: false, count: width)
        let side = [Bool](repeating: false, count: quietZone)
        var modules = [[Bool]](repeating: light, count: quietZone)
        modules += rows.map { side + $0.utf8.map { $0 == UInt8(ascii: "1") } + side }
        modules += [[Bool]](repeating: light, count: quietZone)
        if modules.count % 2 == 1 { modules.append(light) }
        return stride(from: 0, to: modules.count, by: 2).map { index in
            let pairs = zip(modules[index], modules[index + 1])
            return "\u{1b}[30;107m" + String(pairs.map(character)) + "\u{1b}[0m"
        }
    }

    private static func character(_ above: Bool, _ below: Bool) -> Character {
        switch (above, below) {
        case (true, true): "█"
        case (true, false): "▀"
        case (false, true): "▄"
        case (false, false): " "
        }
    }
}
