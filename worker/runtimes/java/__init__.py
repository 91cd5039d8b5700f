"""Java: aws-lambda-java-runtime-interface-client from Maven Central, run by a Java of the right version.

`client` says what there is, `java_homes` finds the Javas of this machine, `maven` and `compiler` make an
installation, `archive` makes it start fast, `options` and `runtime` start it. `sources` and `native_part` run
inside.
"""
