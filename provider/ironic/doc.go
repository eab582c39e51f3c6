// Package ironic knows bare-metal nodes under OpenStack's Ironic: what they are, and how an image is cached on one, ejected and handed out.
package ironic
