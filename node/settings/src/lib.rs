//! Read one configuration file and refuse everything that is wrong with it at once.
