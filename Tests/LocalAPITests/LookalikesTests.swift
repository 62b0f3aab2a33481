// Addresses that look like others (threats.md row 40).

import LocalAPI
import Testing

struct LookalikesTests {
    @Test(arguments: [
        "\u{430}dmin@example.com",  // a Cyrillic letter among Latin ones
        "\u{430}@example.com",  // and alone
        "\u{441}\u{430}\u{440}\u{430}@example.com",  // a word of them
        "\u{3B1}dmin@example.com", "\u{3BD}\u{3BF}@example.com",
        "admin@ex\u{430}mple.com", "admin@\u{430}\u{440}\u{440}\u{4CF}\u{435}.com",
        "admin@x.org/\u{391}dmin", "b\u{43E}b@x.org/home", "example.c\u{43E}m",
        "\u{43F}\u{3C1}@example.com",  // Cyrillic and Greek
    ])
    func `D40 letters that look like those of another script are flagged`(_ address: String) {
        #expect(Lookalikes.areFound(in: address))
    }

    @Test(arguments: [
        "admin@example.com", "j\u{FC}rgen@m\u{FC}nchen.example", "",
        "\u{430}\u{434}\u{43C}\u{438}\u{43D}@example.com",  // a word that no Latin letters spell
        "\u{43F}\u{440}\u{438}\u{432}\u{435}\u{442}1@\u{43F}\u{440}\u{438}\u{43C}\u{435}\u{440}.com",
        "\u{3B3}\u{3B9}\u{3CE}\u{3C1}\u{3B3}\u{3BF}\u{3C2}@example.com",
        "admin@x.org/\u{41D}\u{43E}\u{443}\u{442}\u{431}\u{443}\u{43A} Anna",
        "\u{65E5}\u{672C}@example.jp", "\u{5D0}\u{5D1}@example.com",
    ])
    func `D40 an address of one script is not flagged`(_ address: String) {
        #expect(!Lookalikes.areFound(in: address))
    }
}
