/** The names of the packages that are published. */
export function publicPackages(): string[]

/** Packs the public packages as they would be published, into a folder. */
export function packPublicPackages(
  folder: string,
): Promise<{ name: string; tarball: string; files: string[]; size: number }[]>

export function publicEntries(): string[]

export function publicEntryFiles(): string[]
