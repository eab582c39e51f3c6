package openstack

// What the tests outside of the package see of it.

const KeyInstallation = keyInstallation
