// The API's words as values on the command line.

public import ArgumentParser
public import LocalAPI

extension AccountAdd.TLS: ExpressibleByArgument {}
extension MessageSend.Wait: ExpressibleByArgument {}
extension Policy: ExpressibleByArgument {}
extension Show: ExpressibleByArgument {}
extension Trust: ExpressibleByArgument {}
