"""When does what happen, and in which order? No SQL, no HTTP, no rules: each flow reads like its paragraph."""
