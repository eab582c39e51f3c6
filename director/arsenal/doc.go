// Package arsenal reads the configuration of OpenStack's Arsenal, arsenal.conf, and writes it as a
// hostler.conf. It knows all of Arsenal's options with their defaults, and oslo.config's form.
// Settings that Arsenal ignored cause a warning. No text that it returns contains a secret; only
// Conf.Services does.
package arsenal
