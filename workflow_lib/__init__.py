"""What the rules import: the checked config, names, sources, servers, and the code digest.

A dry run needs nothing but Snakemake, so modules here import the standard library and what comes with it.
Snakemake itself puts the folder of each included Snakefile on `sys.path`, also where another workflow
includes this one as a module.
"""
