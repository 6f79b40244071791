//! From CUDA sources to code for a device, by NVRTC. What was compiled is kept in a folder, so that only the first run on a kind of device waits
//! for it. It must not know any kernel.

use super::devices::Capability;
use super::error::{OpenError, OrError, Version};
use super::{libraries, source};
use cudarc::nvrtc::{result, sys};
use sha2::{Digest, Sha256};
use std::ffi::{CString, c_char};
use std::io::Write;
use std::path::Path;

/// The options besides the architecture. Products and sums may be fused, which is the compiler's default; nothing else of the arithmetic is relaxed.
const OPTIONS: [&str; 1] = ["--std=c++17"];

/// Bytes of the checksum before the code in a kept file.
const CHECKSUM: usize = 32;

/// All kernels as PTX for a virtual architecture such as `compute_80`. Needs libnvrtc and no device.
///
/// # Errors
/// There is no libnvrtc, or the kernels do not compile.
pub fn ptx(architecture: &str) -> Result<String, OpenError> {
    libraries::nvrtc()?;
    let mut code = compile(&source::text(), architecture, sys::nvrtcGetPTXSize, sys::nvrtcGetPTX)?;
    // The text ends with a zero byte.
    code.pop();
    Ok(String::from_utf8_lossy(&code).into_owned())
}

/// All kernels as machine code for a real architecture such as `sm_80`. Needs libnvrtc and no device.
///
/// # Errors
/// There is no libnvrtc, or the kernels do not compile.
pub fn machine_code(architecture: &str) -> Result<Vec<u8>, OpenError> {
    libraries::nvrtc()?;
    compile(&source::text(), architecture, sys::nvrtcGetCUBINSize, sys::nvrtcGetCUBIN)
}

/// All kernels as machine code for a device, from the folder if they are kept there.
///
/// # Errors
/// There is no libnvrtc, it is too old for the device or too new for the driver, the kernels do not compile, or the folder cannot be written.
pub(super) fn cubin(folder: &Path, capability: Capability) -> Result<Vec<u8>, OpenError> {
    let version = libraries::nvrtc()?;
    libraries::driver_runs(version)?;
    let number = capability.major * 10 + capability.minor;
    if !architectures()?.contains(&number) {
        return Err(OpenError::UnknownDevice { version, capability });
    }
    let architecture = format!("sm_{number}");
    let key = key(&source::text(), &architecture, version);
    let path = folder.join(format!("kernels-{key}-{architecture}.cubin"));
    // A file that cannot be read or is damaged is written anew.
    if let Some(code) = std::fs::read(&path).ok().and_then(unsealed) {
        return Ok(code);
    }
    let code = machine_code(&architecture)?;
    keep(folder, &path, &code).map_err(|error| OpenError::Cache { path, why: error.to_string() })?;
    Ok(code)
}

/// What the code depends on, in 32 digits.
fn key(source: &str, architecture: &str, version: Version) -> String {
    let text = format!("{version}\n{architecture}\n{OPTIONS:?}\n{source}");
    Sha256::digest(text)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The code in a kept file, unless it is damaged.
fn unsealed(mut file: Vec<u8>) -> Option<Vec<u8>> {
    if file.len() <= CHECKSUM {
        return None;
    }
    let code = file.split_off(CHECKSUM);
    (Sha256::digest(&code)[..] == file[..]).then_some(code)
}

/// Writes a whole file or none.
fn keep(folder: &Path, path: &Path, code: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The devices that libnvrtc compiles for: 90 for compute capability 9.0.
fn architectures() -> Result<Vec<u32>, OpenError> {
    let mut count = 0;
    // SAFETY: the number outlives the call.
    unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) }.result().or_error("ask libnvrtc for its architectures")?;
    let mut numbers = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for as many numbers as libnvrtc said.
    unsafe { sys::nvrtcGetSupportedArchs(numbers.as_mut_ptr()) }
        .result()
        .or_error("ask libnvrtc for its architectures")?;
    Ok(numbers.into_iter().map(i32::unsigned_abs).collect())
}

type GetSize = unsafe fn(sys::nvrtcProgram, *mut usize) -> sys::nvrtcResult;
type Get = unsafe fn(sys::nvrtcProgram, *mut c_char) -> sys::nvrtcResult;

/// A program of libnvrtc.
struct Program {
    handle: sys::nvrtcProgram,
    /// The program may refer to its source.
    _source: CString,
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody has it afterwards. There is nothing to do about a failure.
        let _ = unsafe { result::destroy_program(self.handle) };
    }
}

fn compile(source: &str, architecture: &str, size: GetSize, get: Get) -> Result<Vec<u8>, OpenError> {
    let source = CString::new(source).expect("the sources have no zero byte");
    let handle = result::create_program(&source, Some(c"ferrotune.cu")).or_error("give libnvrtc the kernels")?;
    let program = Program { handle, _source: source };
    let mut options = vec![format!("--gpu-architecture={architecture}")];
    options.extend(OPTIONS.map(str::to_owned));
    // SAFETY: the program is live.
    let compiled = unsafe { result::compile_program(program.handle, &options) };
    if let Err(error) = compiled {
        // SAFETY: the program is live.
        let log = unsafe { result::get_program_log(program.handle) }.unwrap_or_default();
        let log: Vec<u8> = log.into_iter().map(|letter| letter as u8).filter(|&letter| letter != 0).collect();
        let log = format!("{}{error}", String::from_utf8_lossy(&log));
        return Err(OpenError::Compile { architecture: architecture.to_owned(), log });
    }
    let mut bytes = 0;
    // SAFETY: the program is live, and the number outlives the call.
    unsafe { size(program.handle, &mut bytes) }.result().or_error("get the compiled kernels")?;
    let mut code = vec![0u8; bytes];
    // SAFETY: there is room for as many bytes as libnvrtc said.
    unsafe { get(program.handle, code.as_mut_ptr().cast()) }.result().or_error("get the compiled kernels")?;
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep").join("kernels.cubin");
        keep(path.parent().expect("a folder"), &path, b"machine code").expect("a written file");
        let whole = std::fs::read(&path).expect("the file");
        assert_eq!(unsealed(whole.clone()).as_deref(), Some(&b"machine code"[..]));
        for at in [0, CHECKSUM, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(unsealed(damaged), None, "byte {at}");
            assert_eq!(unsealed(whole[..at].to_vec()), None, "{at} bytes");
        }
    }

    #[test]
    fn the_key_tells_sources_devices_and_compilers_apart() {
        let version = |minor| Version { major: 12, minor };
        let keys = [("a", "sm_80", 8), ("b", "sm_80", 8), ("a", "sm_90", 8), ("a", "sm_80", 9)]
            .map(|(source, architecture, minor)| key(source, architecture, version(minor)));
        for (i, one) in keys.iter().enumerate() {
            assert_eq!(one.len(), 32);
            assert!(keys[..i].iter().all(|other| other != one), "{keys:?}");
        }
        assert_eq!(keys[0], key("a", "sm_80", version(8)));
    }
}
