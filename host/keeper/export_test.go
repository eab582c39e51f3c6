package keeper

// Ring is what the tests outside of the package see of it.
var Ring = ring
