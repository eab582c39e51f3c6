package deployment

// What the tests outside of the package see of it.

var HostName = hostName

const WouldMake = wouldMake
